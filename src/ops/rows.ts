import * as tf from "@tensorflow/tfjs-core";

// Gather and scatter of rows are each other's gradient. TensorFlow.js derives the gradient of gather through
// UnsortedSegmentSum, which compares every row with every segment on its cpu backend; scatterND is linear everywhere.

/** rows of `table` [R, D] by `index` [N] → [N, D]. No gradient. */
export function gatherRows(table: tf.Tensor2D, index: tf.Tensor1D): tf.Tensor2D {
  return tf.gather(table, index);
}

/** Sums the rows of `x` [N, D] into `rows` rows by `index` [N] → [rows, D]; rows never named are 0. No gradient. */
export function scatterRows(x: tf.Tensor2D, index: tf.Tensor1D, rows: number): tf.Tensor2D {
  return tf.scatterND(tf.reshape(index, [-1, 1]), x, [rows, x.shape[1]]);
}

/**
 * x·c where c is a constant to the gradient, whatever it was computed from: the seam between a routing decision, which has no
 * gradient, and what flows through it.
 *
 * @param x any shape
 * @param constant same shape as x, or one that broadcasts to it
 */
export function mulConstant<T extends tf.Tensor>(x: T, constant: tf.Tensor): T {
  const op = tf.customGrad((value, save) => {
    (save as tf.GradSaveFunc)([constant]);
    return {
      value: tf.mul(value as tf.Tensor, constant),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]),
    };
  });
  return op(x) as T;
}
