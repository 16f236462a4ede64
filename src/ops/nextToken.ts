import * as tf from "@tensorflow/tfjs-core";
import { linear } from "./linear.js";

// N rows, D dModel, V vocab, K kept

/**
 * The likeliest token of each row: argmax of hidden·headᵀ, the first of equals.
 *
 * @param hidden_ND [N, D]
 * @param head_VD [V, D]
 * @returns int32 [N]
 */
export function likeliestToken(hidden_ND: tf.Tensor2D, head_VD: tf.Tensor2D): tf.Tensor1D {
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
