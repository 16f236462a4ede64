import * as tf from "@tensorflow/tfjs-core";
import { embedding } from "./embedding.js";
import { fastKernel, fastOp } from "./fastPath.js";
import { linearReference } from "./linear.js";
import { precision } from "./precision.js";
import { type Dropout, dropout as dropEntries, dropoutAttributes } from "./random/noise.js";

// B batch, T queries, S keys, D dModel, H heads, K dKv

export interface AttentionWeights {
  /** [H·K, D] */
  q: tf.Tensor;
  k: tf.Tensor;
  v: tf.Tensor;
  /** [D, H·K] */
  o: tf.Tensor;
}

/** What is added to the scores before the softmax. */
export interface AttentionBias {
  /** By distance and head, [T + S − 1, H]: row key − query + T − 1. */
  position?: tf.Tensor2D;
  /** 1 where a key is real, 0 where it is padding and must not be seen, [B, S]. */
  real?: tf.Tensor2D;
  /** A query sees no key after it (T = S). */
  causal?: boolean;
  /** Which example of a packed row each query and key is of, [B, T] and [B, S]: a query sees its own example's keys. */
  segments?: { queries: tf.Tensor2D; keys: tf.Tensor2D };
}

/** Added to a score that must not count. Finite, so that a row with no key at all stays a number. */
const masked = -1e9;

/**
 * T5's multi-head attention: scores are not scaled (the scale is folded into the initialization of q) and carry an additive bias.
 *
 * @param query_BTD [B, T, D]
 * @param memory_BSD [B, S, D]: the queries' own sequence (the same tensor) in self-attention, the encoder's output in cross-attention
 * @param dropout applied to the attention probabilities; undefined: none
 */
export function attention(
  query_BTD: tf.Tensor3D,
  memory_BSD: tf.Tensor3D,
  weights: AttentionWeights,
  heads: number,
  bias: AttentionBias,
  dropout?: Dropout,
): tf.Tensor3D {
  const forward = fastKernel("TorchAttention");
  const backward = fastKernel("TorchAttentionGrad");
  if (!forward || !backward || bias.segments) {
    // The kernels know no segments.
    const query = precision(query_BTD, "float32");
    const memory = memory_BSD === query_BTD ? query : precision(memory_BSD, "float32");
    return attentionReference(query, memory, weights, heads, bias, dropout);
  }
  const { q, k, v, o } = weights;
  const { position, real, causal = false } = bias;
  const attrs = { heads, causal, ...dropoutAttributes(dropout) };
  const named: tf.NamedTensorMap = { query: query_BTD };
  if (memory_BSD !== query_BTD) named.memory = memory_BSD;
  if (position) named.position = position;
  const { query, memory, position: table } = named;
  const inputs = [query, ...(memory ? [memory] : []), q, k, v, o, ...(table ? [table] : [])];
  if (real) named.real = real;
  if (dropout) named.step = dropout.key.step;
  const names = Object.keys(named);
  return fastOp(
    inputs,
    () => {
      const [y, ...made] = forward({ ...named, q, k, v, o }, attrs);
      return { value: y as tf.Tensor3D, saved: [...Object.values(named), ...made] };
    },
    (dy, saved) => {
      const given = Object.fromEntries(names.map((name, i) => [name, saved[i]]));
      const [context, stats, wo, projected, wIn, projectedMemory, wMemory] = saved.slice(names.length);
      const made = { context, stats, wo, projected, wIn, ...(memory ? { projectedMemory, wMemory } : {}) };
      return backward({ dy, ...given, ...made }, attrs);
    },
  );
}

/** What `attention` is held to, in TensorFlow.js's operations. */
export function attentionReference(
  query_BTD: tf.Tensor3D,
  memory_BSD: tf.Tensor3D,
  weights: AttentionWeights,
  heads: number,
  { position, real, causal = false, segments }: AttentionBias,
  dropout?: Dropout,
): tf.Tensor3D {
  const query_BHTK = splitHeads(linearReference(query_BTD, weights.q), heads);
  const key_BHSK = splitHeads(linearReference(memory_BSD, weights.k), heads);
  const value_BHSK = splitHeads(linearReference(memory_BSD, weights.v), heads);
  const [queries, keys] = [query_BTD.shape[1], memory_BSD.shape[1]];
  const biases: tf.Tensor[] = [
    ...(position ? [positionScores(position, queries, keys)] : []),
    ...(real ? [paddingMask(real)] : []),
    ...(causal ? [causalMask(queries)] : []),
    ...(segments ? [segmentMask(segments)] : []),
  ];
  const raw_BHTS = tf.matMul(query_BHTK, key_BHSK, false, true);
  const scores_BHTS =
    biases.length > 0
      ? tf.add(
          raw_BHTS,
          biases.reduce((sum, term) => tf.add(sum, term)),
        )
      : raw_BHTS;
  const all_BHTS = tf.softmax(scores_BHTS);
  const probs_BHTS = dropout ? dropEntries(all_BHTS, dropout.rate, dropout.key) : all_BHTS;
  return linearReference(joinHeads(tf.matMul(probs_BHTS, value_BHSK)), weights.o);
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

/** A bias by distance [T + S − 1, H] for every pair → [1, H, T, S] */
function positionScores(position: tf.Tensor2D, queries: number, keys: number): tf.Tensor {
  const distance = new Int32Array(queries * keys);
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < keys; key++) distance[query * keys + key] = key - query + queries - 1;
  }
  const bias_TSH = embedding(position, tf.tensor2d(distance, [queries, keys], "int32"));
  return tf.expandDims(tf.transpose(bias_TSH, [2, 0, 1]), 0);
}

/** Hides padded keys. @param real_BS 1 where a token is real, 0 where padded @returns [B, 1, 1, S] */
function paddingMask(real_BS: tf.Tensor2D): tf.Tensor4D {
  const [batch, length] = real_BS.shape;
  return tf.reshape(tf.mul(tf.sub(1, real_BS), masked), [batch, 1, 1, length]);
}

/** Hides keys of other examples. @returns [B, 1, T, S] */
function segmentMask({ queries, keys }: { queries: tf.Tensor2D; keys: tf.Tensor2D }): tf.Tensor {
  const other_BTS = tf.notEqual(tf.expandDims(queries, 2), tf.expandDims(keys, 1));
  return tf.expandDims(tf.mul(tf.cast(other_BTS, "float32"), masked), 1);
}

/** Hides keys after the query. @returns [1, 1, T, T] */
function causalMask(length: number): tf.Tensor4D {
  const mask = new Float32Array(length * length);
  for (let query = 0; query < length; query++) mask.fill(masked, query * length + query + 1, (query + 1) * length);
  return tf.tensor4d(mask, [1, 1, length, length]);
}
