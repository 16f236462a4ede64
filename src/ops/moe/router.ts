import * as tf from "@tensorflow/tfjs-core";
import { type FastKernel, fastKernel, fastOp } from "../fastPath.js";
import { linear } from "../linear.js";
import { type Dtype, precision } from "../precision.js";
import { mulConstant } from "../rows.js";

// N tokens of the batch = G groups × S tokens of a group, E experts, C capacity, D dModel

/** Fewest slots an expert has in a group (Mesh TensorFlow's default). */
export const minCapacity = 4;

/** max(floor(factor · tokens / experts), 4), at most the group's tokens (Switch paper eq. 3, Mesh TensorFlow's rounding). */
export function expertCapacity(tokens: number, experts: number, factor: number): number {
  return Math.min(Math.max(Math.floor((factor * tokens) / experts), minCapacity), tokens);
}

export interface RouterOptions {
  /** Tokens are taken in groups of N / groups consecutive ones: capacity and balance are counted in each. */
  groups: number;
  /** Slots of each expert in each group. */
  capacity: number;
  /** Leave padding out of routing, capacity and balance. */
  ignorePadding: boolean;
  /** B sequences of N / B tokens each: what `expertCounts_BE` is counted by. */
  sequences: number;
  /** Of the router's arithmetic, on a backend that has it; float32 is what makes training stable (paper §2.4). */
  width?: Dtype;
}

export interface Routing {
  /** Raw softmax probability of the chosen expert, 0 where not routed, [N]. Carries the router's gradient. */
  gate_N: tf.Tensor1D;
  /** Slot of each token, int32 [N]: expert·G·C + group·C + position; E·G·C for a token without one. */
  slot_N: tf.Tensor1D;
  /** E·G·C */
  slots: number;
  /** Of each expert's slots in each group, how many are in use: its first ones. Int32 [E, G]; from a fast path only. */
  occupied_EG?: tf.Tensor2D;
  /** N·Σ f·P, mean over groups: 1 under perfect balance (paper §2.2, without α). */
  balance: tf.Scalar;
  /** Mean over routed tokens of logsumexp(logits)² (ST-MoE). */
  z: () => tf.Scalar;
  /** Share of the routed tokens that chose each expert, before capacity, [E]. */
  load_E: tf.Tensor1D;
  /** Share of the routed tokens that found their expert full. */
  fractionDropped: tf.Scalar;
  /** Mean gate of the routed tokens. */
  confidence: tf.Scalar;
  /** Real routed tokens of each sequence that chose each expert, [B, E]. */
  expertCounts_BE: tf.Tensor2D;
}

/**
 * Switch's top-1 router (paper §2.1, §2.2): softmax over experts in float32, the best expert for each token, places in an expert
 * first come first served in token order, tokens beyond its capacity left out.
 *
 * @param x_ND [N, D], times jitter in training
 * @param weight_ED [E, D]
 * @param real_N 1 where a token is real, 0 where padding, [N]
 */
export function router(x_ND: tf.Tensor2D, weight_ED: tf.Tensor, real_N: tf.Tensor1D, options: RouterOptions): Routing {
  const { width = "float32" } = options;
  const logits_NE = linear(precision(x_ND, width), precision(weight_ED, width));
  const kernel = fastKernel("TorchRouter");
  const gradient = fastKernel("TorchRouterGrad");
  if (!kernel || !gradient) return routeReference(precision(logits_NE, "float32"), real_N, options);
  return routeFast(logits_NE, real_N, options, kernel, gradient);
}

function routeFast(
  logits_NE: tf.Tensor2D,
  real_N: tf.Tensor1D,
  { groups, capacity, ignorePadding, sequences }: RouterOptions,
  kernel: FastKernel,
  gradient: FastKernel,
): Routing {
  const [tokens, experts] = logits_NE.shape;
  const results = kernel({ logits: logits_NE, real: real_N }, { groups, capacity, ignorePadding, sequences });
  const [parts, slot, occupied, load, dropped, confidence, counts, ...forGradient] = results;
  const carrier = fastOp(
    [logits_NE],
    () => ({ value: tf.clone(parts), saved: forGradient }),
    (dy, [probs, expert, logZ, share]) => gradient({ dy, probs, expert, logZ, share }),
  ) as tf.Tensor1D;
  const scalar = (at: number): tf.Scalar => tf.reshape(partOf(carrier, at, 1), []);
  return {
    gate_N: partOf(carrier, 0, tokens),
    slot_N: slot as tf.Tensor1D,
    slots: experts * groups * capacity,
    occupied_EG: occupied as tf.Tensor2D,
    balance: scalar(tokens),
    z: () => scalar(tokens + 1),
    load_E: load as tf.Tensor1D,
    fractionDropped: dropped as tf.Scalar,
    confidence: confidence as tf.Scalar,
    expertCounts_BE: counts as tf.Tensor2D,
  };
}

/** Entries [begin, begin + size) of a vector. */
function partOf(vector: tf.Tensor1D, begin: number, size: number): tf.Tensor1D {
  const after = vector.size - begin - size;
  return fastOp(
    [vector],
    () => ({ value: tf.slice1d(vector, begin, size), saved: [] }),
    (dy) => [tf.pad1d(dy as tf.Tensor1D, [begin, after])],
  );
}

/** What the fast path is held to, from logits on, in TensorFlow.js's operations. */
export function routeReference(
  logits_NE: tf.Tensor2D,
  real_N: tf.Tensor1D,
  { groups, capacity, ignorePadding, sequences }: RouterOptions,
): Routing {
  const [tokens, experts] = logits_NE.shape;
  const byGroup = [groups, tokens / groups, experts] as [number, number, number];
  const slots = experts * groups * capacity;

  const probs_NE = tf.softmax(logits_NE);
  const expert_N = tf.argMax(probs_NE, 1) as tf.Tensor1D;
  const routed_N = ignorePadding ? real_N : tf.onesLike(real_N);
  // By comparison: tf.oneHot refuses a single expert, and asked for float32 it gives integer bits on wasm.
  const oneHot_NE = tf.cast(tf.equal(tf.expandDims(expert_N, 1), tf.range(0, experts, 1, "int32")), "float32");
  const choice_NE = tf.mul(oneHot_NE, tf.expandDims(routed_N, 1)) as tf.Tensor2D;

  // A token's position in its expert: how many before it in its group chose the same.
  const choice_GSE = tf.reshape(choice_NE, byGroup);
  const position_GS = tf.sum(tf.mul(tf.cumsum(choice_GSE, 1, true), choice_GSE), 2);
  const kept_N = tf.mul(tf.reshape(tf.cast(tf.less(position_GS, capacity), "float32"), [-1]), routed_N) as tf.Tensor1D;
  const group_G1 = tf.mul(tf.reshape(tf.range(0, groups), [groups, 1]), capacity);
  const place_N = tf.add(tf.reshape(tf.add(position_GS, group_G1), [-1]), tf.mul(expert_N, groups * capacity));
  const slot_N = tf.cast(tf.add(slots, tf.mul(kept_N, tf.sub(place_N, slots))), "int32") as tf.Tensor1D;

  // f: share of a group's tokens that chose each expert, a constant. P: mean probability of each expert.
  const routed_GS1 = tf.reshape(routed_N, [groups, -1, 1]);
  const count_G11 = tf.maximum(tf.sum(routed_GS1, 1, true), 1);
  const f_G1E = tf.div(tf.sum(choice_GSE, 1, true), count_G11);
  const weight_GSE = tf.mul(tf.mul(tf.div(f_G1E, count_G11), experts / groups), routed_GS1);
  const balance = tf.sum(mulConstant(tf.reshape(probs_NE, byGroup), weight_GSE)) as tf.Scalar;
  const gate_N = tf.sum(mulConstant(probs_NE, choice_NE), 1) as tf.Tensor1D;

  const routed = tf.maximum(tf.sum(routed_N), 1);
  const counted_NE = tf.mul(choice_NE, tf.expandDims(real_N, 1));
  return {
    gate_N,
    slot_N,
    slots,
    balance,
    z: () => zLoss(logits_NE, probs_NE, routed_N),
    load_E: tf.div(tf.sum(choice_NE, 0), routed),
    fractionDropped: tf.sub(1, tf.div(tf.sum(kept_N), routed)),
    confidence: tf.div(tf.sum(gate_N), routed),
    expertCounts_BE: tf.sum(tf.reshape(counted_NE, [sequences, -1, experts]), 1),
  };
}

/** Mean over routed tokens of ln²Z; d/d logits of ln²Z is 2·ln Z·softmax. */
function zLoss(logits_NE: tf.Tensor2D, probs_NE: tf.Tensor, routed_N: tf.Tensor1D): tf.Scalar {
  const op = tf.customGrad((logits, save) => {
    const share_N = tf.div(routed_N, tf.maximum(tf.sum(routed_N), 1));
    const logZ_N = tf.logSumExp(logits as tf.Tensor, 1);
    (save as tf.GradSaveFunc)([tf.mul(tf.expandDims(tf.mul(tf.mul(logZ_N, share_N), 2), 1), probs_NE)]);
    return {
      value: tf.sum(tf.mul(tf.square(logZ_N), share_N)),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(saved[0], dy),
    };
  });
  return op(logits_NE) as tf.Scalar;
}
