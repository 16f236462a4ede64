import * as tf from "@tensorflow/tfjs-core";
import { type FastKernel, fastKernel, fastOp } from "../fastPath.js";
import { linear } from "../linear.js";
import { type Dtype, precision } from "../precision.js";
import { gumbel, type NoiseKey } from "../random/noise.js";
import { mulConstant } from "../rows.js";
import { type Jitter, jitteredLinear } from "./jitteredLinear.js";

// N tokens of the batch = G groups × S tokens of a group, k choices of a token, E experts, C capacity, D dModel

/** Fewest slots an expert has in a group (Mesh TensorFlow's default). */
export const minCapacity = 4;

/** max(floor(factor · tokens / experts), 4), at most the group's tokens (Switch paper eq. 3, Mesh TensorFlow's rounding). */
export function expertCapacity(tokens: number, experts: number, factor: number): number {
  return Math.min(Math.max(Math.floor((factor * tokens) / experts), minCapacity), tokens);
}

/** Taken off what an expert is chosen by once it has been: more than any logit or probability. */
const chosenAlready = 1e9;

/** Least sum that gates are divided by: that of a token that is not routed is 0. */
const minGateSum = 1e-30;

export interface RouterOptions {
  /** Tokens are taken in groups of N / groups consecutive ones: capacity and balance are counted in each. */
  groups: number;
  /** Slots of each expert in each group. */
  capacity: number;
  /** k: experts of a token, the best ones; 1 where left out. */
  topK?: number;
  /** Gates of a token's k experts add up to 1 (the paper's MoE baseline); false: raw probabilities (T5X). No matter where k is 1. */
  renormalize?: boolean;
  /** Draws experts from the softmax instead of taking the best ones: Gumbel noise on the logits for the choice alone. */
  sample?: NoiseKey;
  /** Noise that the router's input is multiplied by; left out: none. */
  jitter?: Jitter;
  /** The router's weights get no gradient. With one expert they never do. */
  frozen?: boolean;
  /** Over what f and P of the balance are taken: each group, or all tokens; groups where left out. */
  balance?: "group" | "batch";
  /** f for `balance: "batch"`, [E], where tokens that are not here count too; that of the tokens here where left out. */
  globalLoad_E?: tf.Tensor1D;
  /** Leave padding out of routing, capacity and balance. */
  ignorePadding: boolean;
  /** B sequences of N / B tokens each: what `expertCounts_BE` is counted by. */
  sequences: number;
  /** Of the router's arithmetic, on a backend that has it; float32 is what makes training stable (paper §2.4). */
  dtype?: Dtype;
}

export interface Routing {
  /**
   * Softmax probability of each chosen expert, 0 where not routed, [N, k], in the order of choice; raw for k = 1, see `renormalize` for more.
   * Carries the router's gradient.
   */
  gate_NK: tf.Tensor2D;
  /** Slot of each token in each chosen expert, int32 [N, k]: expert·G·C + group·C + position; E·G·C where it has none. */
  slot_NK: tf.Tensor2D;
  /** E·G·C */
  slots: number;
  /** Of each expert's slots in each group, how many are in use: its first ones. Int32 [E, G]; not known where left out. */
  occupied_EG?: tf.Tensor2D;
  /** E·Σ f·P: 1 under perfect balance (paper §2.2, without α), k where tokens have k experts (T5X). */
  balance: tf.Scalar;
  /** Mean over routed tokens of logsumexp(logits)² (ST-MoE). */
  z: () => tf.Scalar;
  /** Share of all choices that fell on each expert, before capacity, [E]; sums to 1. */
  load_E: tf.Tensor1D;
  /** Share of all choices that found their expert full. */
  fractionDropped: tf.Scalar;
  /** Mean over routed tokens of the first chosen expert's probability. */
  meanGateProbability: tf.Scalar;
  /** Choices of real tokens of each sequence that fell on each expert, [B, E]. */
  expertCounts_BE: tf.Tensor2D;
}

/**
 * The router of Switch (paper §2.1, §2.2) and, with `topK: 2`, of its MoE baseline: softmax over experts in float32, the best
 * experts for each token, places in an expert first come first served in token order, all first choices before all second ones (T5X),
 * what is beyond an expert's capacity left out.
 *
 * @param x_ND [N, D]
 * @param weight_ED [E, D]
 * @param real_N 1 where a token is real, 0 where padding, [N]
 */
export function router(x_ND: tf.Tensor2D, weight_ED: tf.Tensor, real_N: tf.Tensor1D, options: RouterOptions): Routing {
  const { dtype = "float32", topK = 1, frozen = false } = options;
  // The probability of a single expert is 1: what its weights would get is rounding, which an optimizer scales up to whole steps.
  const weight = frozen || weight_ED.shape[0] === 1 ? detached(weight_ED) : weight_ED;
  const logits_NE = options.jitter
    ? jitteredLinear(x_ND, weight, options.jitter, dtype)
    : linear(precision(x_ND, dtype), precision(weight, dtype));
  const kernel = fastKernel("TorchRouter");
  const gradient = fastKernel("TorchRouterGrad");
  // The kernels know one expert a token, the best one.
  if (!kernel || !gradient || topK > 1 || options.sample)
    return routeReference(precision(logits_NE, "float32"), real_N, options);
  return routeFast(logits_NE, real_N, options, kernel, gradient);
}

/** The same values, whose gradient is 0. */
function detached(x: tf.Tensor): tf.Tensor {
  return fastOp(
    [x],
    () => ({ value: tf.clone(x), saved: [] }),
    () => [tf.zeros(x.shape)],
  );
}

function routeFast(
  logits_NE: tf.Tensor2D,
  real_N: tf.Tensor1D,
  options: RouterOptions,
  kernel: FastKernel,
  gradient: FastKernel,
): Routing {
  const { groups, capacity, ignorePadding, sequences } = options;
  const [tokens, experts] = logits_NE.shape;
  const results = kernel({ logits: logits_NE, real: real_N }, { groups, capacity, ignorePadding, sequences });
  const [byGroup, slot, occupied, load, dropped, meanGateProbability, counts, probs_NE, expert, logZ, share_GE] =
    results;
  let [parts, share] = [byGroup as tf.Tensor1D, share_GE];
  if (options.balance === "batch") {
    const routed_N1 = tf.reshape(ignorePadding ? real_N : tf.onesLike(real_N), [-1, 1]);
    const weight_E = globalWeight(options.globalLoad_E ?? (load as tf.Tensor1D), routed_N1, experts);
    share = tf.tile(tf.reshape(weight_E, [1, experts]), [groups, 1]);
    const balance = tf.sum(tf.mul(tf.mul(probs_NE, routed_N1), weight_E));
    parts = tf.concat1d([tf.slice1d(parts, 0, tokens), tf.reshape(balance, [1]), tf.slice1d(parts, tokens + 1, 1)]);
  }
  const carrier = fastOp(
    [logits_NE],
    () => ({ value: tf.clone(parts), saved: [probs_NE, expert, logZ, share] }),
    (dy, [probs, chosen, z, weights]) => gradient({ dy, probs, expert: chosen, logZ: z, share: weights }),
  ) as tf.Tensor1D;
  const scalar = (at: number): tf.Scalar => tf.reshape(partOf(carrier, at, 1), []);
  return {
    gate_NK: tf.reshape(partOf(carrier, 0, tokens), [tokens, 1]),
    slot_NK: tf.reshape(slot, [tokens, 1]),
    slots: experts * groups * capacity,
    occupied_EG: occupied as tf.Tensor2D,
    balance: scalar(tokens),
    z: () => scalar(tokens + 1),
    load_E: load as tf.Tensor1D,
    fractionDropped: dropped as tf.Scalar,
    meanGateProbability: meanGateProbability as tf.Scalar,
    expertCounts_BE: counts as tf.Tensor2D,
  };
}

/** What each routed token's probabilities are weighted by in the balance over all tokens: E·f / tokens, [E]. */
function globalWeight(load_E: tf.Tensor1D, routed: tf.Tensor, experts: number): tf.Tensor1D {
  return tf.div(tf.mul(load_E, experts), tf.maximum(tf.sum(routed), 1));
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
export function routeReference(logits_NE: tf.Tensor2D, real_N: tf.Tensor1D, options: RouterOptions): Routing {
  const { groups, capacity, ignorePadding, sequences, topK = 1, renormalize = true, balance: over = "group" } = options;
  const [tokens, experts] = logits_NE.shape;
  const byGroup = [groups, tokens / groups, experts] as [number, number, number];
  const slots = experts * groups * capacity;

  const probs_NE = tf.softmax(logits_NE);
  const routed_N = ignorePadding ? real_N : tf.onesLike(real_N);
  const routed_N1 = tf.expandDims(routed_N, 1);
  const group_G1 = tf.mul(tf.reshape(tf.range(0, groups), [groups, 1]), capacity);
  const choices: tf.Tensor2D[] = [];
  const slotsOfChoice: tf.Tensor[] = [];
  let kept: tf.Tensor = tf.scalar(0);
  // How many chose each expert so far, [G, 1, E]: those of earlier choices have their places first.
  let taken_G1E: tf.Tensor = tf.zeros([groups, 1, experts]);
  let rest_NE: tf.Tensor = options.sample ? tf.add(logits_NE, gumbel(logits_NE.shape, options.sample)) : probs_NE;
  for (let choice = 0; choice < topK; choice++) {
    const expert_N = tf.argMax(rest_NE, 1) as tf.Tensor1D;
    // By comparison: tf.oneHot refuses a single expert, and asked for float32 it gives integer bits on wasm.
    const oneHot_NE = tf.cast(tf.equal(tf.expandDims(expert_N, 1), tf.range(0, experts, 1, "int32")), "float32");
    rest_NE = tf.sub(rest_NE, tf.mul(oneHot_NE, chosenAlready));
    const choice_NE = tf.mul(oneHot_NE, routed_N1) as tf.Tensor2D;
    choices.push(choice_NE);

    // A token's position in its expert: how many before it in its group chose the same.
    const choice_GSE = tf.reshape(choice_NE, byGroup);
    const before_GSE = tf.add(tf.cumsum(choice_GSE, 1, true), taken_G1E);
    const position_GS = tf.sum(tf.mul(before_GSE, choice_GSE), 2);
    taken_G1E = tf.add(taken_G1E, tf.sum(choice_GSE, 1, true));
    const isInside_N = tf.reshape(tf.cast(tf.less(position_GS, capacity), "float32"), [-1]);
    const kept_N = tf.mul(isInside_N, routed_N) as tf.Tensor1D;
    const place_N = tf.add(tf.reshape(tf.add(position_GS, group_G1), [-1]), tf.mul(expert_N, groups * capacity));
    const slot_N = tf.cast(tf.add(slots, tf.mul(kept_N, tf.sub(place_N, slots))), "int32");
    slotsOfChoice.push(tf.reshape(slot_N, [tokens, 1]));
    kept = tf.add(kept, tf.sum(kept_N));
  }
  const chosen_NE = choices.reduce((sum, choice_NE) => tf.add(sum, choice_NE)) as tf.Tensor2D;

  // f: share of tokens that chose each expert, a constant. P: mean probability of each expert.
  const routed = tf.maximum(tf.sum(routed_N), 1);
  const load_E = tf.div(tf.sum(chosen_NE, 0), tf.mul(routed, topK)) as tf.Tensor1D;
  let weight_GSE: tf.Tensor;
  if (over === "group") {
    const routed_GS1 = tf.reshape(routed_N, [groups, -1, 1]);
    const count_G11 = tf.maximum(tf.sum(routed_GS1, 1, true), 1);
    const f_G1E = tf.div(tf.sum(tf.reshape(chosen_NE, byGroup), 1, true), count_G11);
    weight_GSE = tf.mul(tf.mul(tf.div(f_G1E, count_G11), experts / groups), routed_GS1);
  } else {
    const f_E = tf.mul(options.globalLoad_E ?? load_E, topK) as tf.Tensor1D;
    weight_GSE = tf.reshape(tf.mul(globalWeight(f_E, routed_N, experts), routed_N1), byGroup);
  }
  const balance = tf.sum(mulConstant(tf.reshape(probs_NE, byGroup), weight_GSE)) as tf.Scalar;
  const best_N = tf.sum(mulConstant(probs_NE, choices[0]), 1);

  const counted_NE = tf.mul(chosen_NE, tf.expandDims(real_N, 1));
  return {
    gate_NK: topK === 1 ? tf.reshape(best_N, [tokens, 1]) : gatesOf(probs_NE, choices, renormalize),
    slot_NK: tf.concat(slotsOfChoice, 1) as tf.Tensor2D,
    slots,
    ...(topK === 1
      ? {}
      : {
          occupied_EG: tf.transpose(tf.cast(tf.minimum(tf.reshape(taken_G1E, [groups, experts]), capacity), "int32")),
        }),
    balance,
    z: () => zLoss(logits_NE, probs_NE, routed_N),
    load_E,
    fractionDropped: tf.sub(1, tf.div(kept, tf.mul(routed, topK))),
    meanGateProbability: tf.div(tf.sum(best_N), routed),
    expertCounts_BE: tf.sum(tf.reshape(counted_NE, [sequences, -1, experts]), 1),
  };
}

/** Probabilities of each token's choices, [N, k]; made to add up to 1 where asked for, 0 for a token without choices. */
function gatesOf(probs_NE: tf.Tensor, choices: readonly tf.Tensor2D[], renormalize: boolean): tf.Tensor2D {
  const op = tf.customGrad((...args) => {
    const [probs, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const raw_NK = tf.stack(
      choices.map((choice_NE) => tf.sum(tf.mul(probs, choice_NE), 1)),
      1,
    );
    const sum_N1 = tf.maximum(tf.sum(raw_NK, 1, true), minGateSum);
    const value = renormalize ? tf.div(raw_NK, sum_N1) : raw_NK;
    save([value, sum_N1, ...choices]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor => {
      const [gate_NK, total_N1, ...chosen] = saved;
      const along_N1 = tf.sum(tf.mul(dy, gate_NK), 1, true);
      const d_NK = renormalize ? tf.div(tf.sub(dy, along_N1), total_N1) : dy;
      return tf
        .unstack(d_NK, 1)
        .reduce<tf.Tensor>(
          (sum, d_N, k) => tf.add(sum, tf.mul(tf.expandDims(d_N, 1), chosen[k])),
          tf.zeros(chosen[0].shape),
        );
    };
    return { value, gradFunc };
  });
  return op(probs_NE) as tf.Tensor2D;
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
