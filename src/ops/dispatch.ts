import * as tf from "@tensorflow/tfjs-core";
import { gatherRows, scatterRows } from "./rows.js";

// N tokens, D dModel. A slot is a place of an expert; a token without one points past the last slot: that row is cut away on the
// way in and reads as zeros on the way out. Dispatch and combine are each other's gradient.

/**
 * Puts each token into its slot by index; slots without a token are 0.
 *
 * @param x_ND [N, D]
 * @param slot_N int32 [N]: slot of each token, `slots` where it has none; no slot twice
 * @returns [slots, D]
 */
export function dispatch(x_ND: tf.Tensor2D, slot_N: tf.Tensor1D, slots: number): tf.Tensor2D {
  const op = tf.customGrad((x, save) => {
    (save as tf.GradSaveFunc)([slot_N]);
    return {
      value: scatterToSlots(x as tf.Tensor2D, slot_N, slots),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gatherFromSlots(dy as tf.Tensor2D, saved[0] as tf.Tensor1D),
    };
  });
  return op(x_ND) as tf.Tensor2D;
}

/**
 * Brings each token its slot's row, zeros where it has no slot.
 *
 * @param y [slots, D]
 * @param slot_N as for `dispatch`
 * @returns [N, D]
 */
export function combine(y: tf.Tensor2D, slot_N: tf.Tensor1D): tf.Tensor2D {
  const slots = y.shape[0];
  const op = tf.customGrad((rows, save) => {
    (save as tf.GradSaveFunc)([slot_N]);
    return {
      value: gatherFromSlots(rows as tf.Tensor2D, slot_N),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        scatterToSlots(dy as tf.Tensor2D, saved[0] as tf.Tensor1D, slots),
    };
  });
  return op(y) as tf.Tensor2D;
}

function scatterToSlots(x_ND: tf.Tensor2D, slot_N: tf.Tensor1D, slots: number): tf.Tensor2D {
  return tf.slice2d(scatterRows(x_ND, slot_N, slots + 1), [0, 0], [slots, -1]);
}

function gatherFromSlots(y: tf.Tensor2D, slot_N: tf.Tensor1D): tf.Tensor2D {
  return gatherRows(tf.concat2d([y, tf.zeros([1, y.shape[1]])], 0), slot_N);
}
