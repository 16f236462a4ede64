import * as tf from "@tensorflow/tfjs-core";
import { fastKernel } from "../fastPath.js";
import { linear } from "../linear.js";

// N rows, D dModel, V vocab, K kept

/** An output layer as `likeliestToken` reads it. `dispose` frees what was made for it, not the weight. */
export interface OutputHead {
  /** [V, D] */
  weight_VD: tf.Tensor2D;
  /** In bytes: int32 [V, D / 4], and their scales, bounds of their errors, and norms, [3, V]. */
  packed?: { bytes: tf.Tensor; bounds: tf.Tensor };
  dispose(): void;
}

/** Gets an output layer ready for many tokens: a fast path reads a quarter of it for each. */
export function outputHead(weight_VD: tf.Tensor2D): OutputHead {
  const kernel = fastKernel("TorchPackHead");
  if (!kernel || weight_VD.shape[1] % 4 !== 0) return { weight_VD, dispose: () => {} };
  const [bytes, bounds] = kernel({ weight: weight_VD });
  return { weight_VD, packed: { bytes, bounds }, dispose: () => tf.dispose([bytes, bounds]) };
}

/**
 * The likeliest token of each row: argmax of hidden·headᵀ in float32, the first of equals. Where the head is packed, logits come from bytes
 * first, each within a known bound of its true value, and only tokens that could be the likeliest are computed in float32: the result is
 * the same.
 *
 * @param hidden_ND [N, D]
 * @returns int32 [N]
 */
export function likeliestToken(hidden_ND: tf.Tensor2D, head: OutputHead): tf.Tensor1D {
  const kernel = fastKernel("TorchLikeliestToken");
  const { weight_VD, packed } = head;
  if (!kernel || !packed) return likeliestTokenReference(hidden_ND, weight_VD);
  return kernel({ hidden: hidden_ND, weight: weight_VD, ...packed })[0] as tf.Tensor1D;
}

/** What the fast path is held to. */
export function likeliestTokenReference(hidden_ND: tf.Tensor2D, head_VD: tf.Tensor2D): tf.Tensor1D {
  return tf.tidy(() => tf.argMax(linear(hidden_ND, head_VD), 1) as tf.Tensor1D);
}

/**
 * The `count` likeliest tokens of each row, the likeliest first, and their log probabilities (natural log).
 *
 * @returns ids int32 [N, K], logProbs [N, K]
 */
export function likeliestTokens(
  hidden_ND: tf.Tensor2D,
  head_VD: tf.Tensor2D,
  count: number,
): { ids: tf.Tensor2D; logProbs: tf.Tensor2D } {
  const [ids, logProbs] = tf.tidy(() => {
    const logits_NV = linear(hidden_ND, head_VD);
    const logZ_N1 = tf.logSumExp(logits_NV, 1, true);
    const top = tf.topk(logits_NV, count, true);
    return [tf.cast(top.indices, "int32"), tf.sub(top.values, logZ_N1)];
  });
  return { ids: ids as tf.Tensor2D, logProbs: logProbs as tf.Tensor2D };
}
