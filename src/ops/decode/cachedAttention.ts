import * as tf from "@tensorflow/tfjs-core";
import type { AttentionWeights } from "../attention.js";
import { fastKernel } from "../fastPath.js";
import { linear } from "../linear.js";

// B rows, L positions so far, S source positions, D dModel, H heads, K dKv, A = H·K

/** Keys and values of positions that later queries attend to, projected once. */
export interface KeysAndValues {
  /** [B, positions, A]; where a fast path wrote them there may be room for more positions after those. */
  keys: tf.Tensor3D;
  values: tf.Tensor3D;
}

/** Keys and values of a memory, for `attendMemory`. @param memory_BSD [B, S, D] */
export function keysAndValues(memory_BSD: tf.Tensor3D, { k, v }: Pick<AttentionWeights, "k" | "v">): KeysAndValues {
  return { keys: linear(memory_BSD, k), values: linear(memory_BSD, v) };
}

/**
 * Self-attention of the next position alone, over itself and those before it: the last row of causal `attention`. For inference, no
 * gradient.
 *
 * @param x_B1D the position's states, [B, 1, D]
 * @param before keys and values of the L − 1 positions before it, used up: a fast path writes to them; undefined for the first
 * @param position_LH bias by distance, [L, H]: row key, the last is the position itself
 * @returns the layer's output [B, 1, D], and keys and values of all L positions
 */
export function attendBefore(
  x_B1D: tf.Tensor3D,
  before: KeysAndValues | undefined,
  weights: AttentionWeights,
  heads: number,
  position_LH: tf.Tensor2D,
): { y_B1D: tf.Tensor3D; cache: KeysAndValues } {
  const kernel = fastKernel("TorchAttendBefore");
  if (!kernel) return attendBeforeReference(x_B1D, before, weights, heads, position_LH);
  const [y, keys, values] = kernel({ x: rowsOf(x_B1D), ...weights, ...before, position: position_LH });
  return {
    y_B1D: tf.reshape(y, x_B1D.shape),
    cache: { keys: keys as tf.Tensor3D, values: values as tf.Tensor3D },
  };
}

/** What the fast path is held to. */
export function attendBeforeReference(
  x_B1D: tf.Tensor3D,
  before: KeysAndValues | undefined,
  weights: AttentionWeights,
  heads: number,
  position_LH: tf.Tensor2D,
): { y_B1D: tf.Tensor3D; cache: KeysAndValues } {
  const own = keysAndValues(x_B1D, weights);
  const cache: KeysAndValues = before
    ? { keys: tf.concat([before.keys, own.keys], 1), values: tf.concat([before.values, own.values], 1) }
    : own;
  const [positions] = position_LH.shape;
  const bias_1H1L = tf.reshape(tf.transpose(position_LH), [1, heads, 1, positions]);
  return { y_B1D: attendOne(x_B1D, cache, weights, heads, bias_1H1L), cache };
}

/**
 * Cross-attention of one position, over a memory of which keys and values are known: the same as `attention` of that query. For inference.
 *
 * @param real_BS 1 where a source position is real, 0 where padding
 */
export function attendMemory(
  x_B1D: tf.Tensor3D,
  memory: KeysAndValues,
  weights: AttentionWeights,
  heads: number,
  real_BS: tf.Tensor2D,
): tf.Tensor3D {
  const kernel = fastKernel("TorchAttendMemory");
  if (!kernel) return attendMemoryReference(x_B1D, memory, weights, heads, real_BS);
  const { q, o } = weights;
  const [y] = kernel({ x: rowsOf(x_B1D), q, o, ...memory, real: real_BS }, { heads });
  return tf.reshape(y, x_B1D.shape);
}

/** What the fast path is held to. */
export function attendMemoryReference(
  x_B1D: tf.Tensor3D,
  memory: KeysAndValues,
  weights: AttentionWeights,
  heads: number,
  real_BS: tf.Tensor2D,
): tf.Tensor3D {
  const [rows, positions] = real_BS.shape;
  const bias_B11S = tf.reshape(tf.mul(tf.sub(real_BS, 1), masked), [rows, 1, 1, positions]);
  return attendOne(x_B1D, memory, weights, heads, bias_B11S);
}

/** [B, 1, D] → [B, D] */
function rowsOf(x_B1D: tf.Tensor3D): tf.Tensor2D {
  return tf.reshape(x_B1D, [x_B1D.shape[0], x_B1D.shape[2]]);
}

/** Taken from a score that must not count: the same as in `attention`. */
const masked = 1e9;

/** One query a row. @param bias added to the scores [B, H, 1, positions] */
function attendOne(
  x_B1D: tf.Tensor3D,
  { keys, values }: KeysAndValues,
  { q, o }: AttentionWeights,
  heads: number,
  bias: tf.Tensor,
): tf.Tensor3D {
  const [rows, positions, inner] = keys.shape;
  const byHead = (x_BLA: tf.Tensor3D): tf.Tensor =>
    tf.transpose(tf.reshape(x_BLA, [rows, positions, heads, inner / heads]), [0, 2, 1, 3]);
  const query_BH1K = tf.reshape(linear(x_B1D, q), [rows, heads, 1, inner / heads]);
  const probs_BH1L = tf.softmax(tf.add(tf.matMul(query_BH1K, byHead(keys), false, true), bias));
  const context_B1A = tf.reshape(tf.matMul(probs_BH1L, byHead(values)), [rows, 1, inner]) as tf.Tensor3D;
  return linear(context_B1A, o);
}
