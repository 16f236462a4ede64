import * as tf from "@tensorflow/tfjs-core";
import { linear } from "./linear.js";

// B batch, T queries, S keys, D dModel, H heads, K dKv

export interface AttentionWeights {
  /** [H·K, D] */
  q: tf.Tensor;
  k: tf.Tensor;
  v: tf.Tensor;
  /** [D, H·K] */
  o: tf.Tensor;
}

/** Added to a score that must not count. Finite, so that a row with no key at all stays a number. */
const masked = -1e9;

/**
 * T5's multi-head attention: scores are not scaled (the scale is folded into the initialization of q) and carry an additive bias.
 *
 * @param query_BTD [B, T, D]
 * @param memory_BSD [B, S, D]: the queries' own sequence in self-attention, the encoder's output in cross-attention
 * @param bias position bias and mask together, broadcasting to [B, H, T, S]
 * @param dropout applied to the attention probabilities
 */
export function attention(
  query_BTD: tf.Tensor3D,
  memory_BSD: tf.Tensor3D,
  weights: AttentionWeights,
  heads: number,
  bias: tf.Tensor4D,
  dropout: (x: tf.Tensor) => tf.Tensor = (x) => x,
): tf.Tensor3D {
  const query_BHTK = splitHeads(linear(query_BTD, weights.q), heads);
  const key_BHSK = splitHeads(linear(memory_BSD, weights.k), heads);
  const value_BHSK = splitHeads(linear(memory_BSD, weights.v), heads);
  const scores_BHTS = tf.add(tf.matMul(query_BHTK, key_BHSK, false, true), bias);
  const probs_BHTS = dropout(tf.softmax(scores_BHTS));
  return linear(joinHeads(tf.matMul(probs_BHTS, value_BHSK)), weights.o);
}

/** [B, T, H·K] → [B, H, T, K] */
function splitHeads(x: tf.Tensor3D, heads: number): tf.Tensor4D {
  const [batch, length, width] = x.shape;
  return tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]) as tf.Tensor4D;
}

/** [B, H, T, K] → [B, T, H·K] */
function joinHeads(x: tf.Tensor): tf.Tensor3D {
  const [batch, heads, length, width] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * width]);
}

/** Hides padded keys. @param real_BS 1 where a token is real, 0 where padded @returns [B, 1, 1, S] */
export function paddingMask(real_BS: tf.Tensor2D): tf.Tensor4D {
  const [batch, length] = real_BS.shape;
  return tf.reshape(tf.mul(tf.sub(1, real_BS), masked), [batch, 1, 1, length]);
}

/** Hides keys after the query. @returns [1, 1, T, T] */
export function causalMask(length: number): tf.Tensor4D {
  const mask = new Float32Array(length * length);
  for (let query = 0; query < length; query++) mask.fill(masked, query * length + query + 1, (query + 1) * length);
  return tf.tensor4d(mask, [1, 1, length, length]);
}
