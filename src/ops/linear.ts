import * as tf from "@tensorflow/tfjs-core";

/**
 * x·Wᵀ without bias: T5 has none.
 *
 * @param x [..., D]
 * @param weight_OD [O, D], the layout of Transformers' checkpoints
 * @returns [..., O]
 */
export function linear<T extends tf.Tensor>(x: T, weight_OD: tf.Tensor): T {
  const [outSize, inSize] = weight_OD.shape;
  const y_NO = tf.matMul(tf.reshape(x, [-1, inSize]), weight_OD, false, true);
  return tf.reshape(y_NO, [...x.shape.slice(0, -1), outSize]) as T;
}
