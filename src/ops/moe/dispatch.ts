import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "../fastPath.js";
import { gatherRows, scatterRows } from "../rows.js";

// N tokens, D dModel. A slot is a place of an expert; a token without one points past the last slot: that row is cut away on the
// way in and reads as zeros on the way out.

/**
 * Puts each token into its slots by index; slots without a token are 0.
 *
 * @param x_ND [N, D]
 * @param slot_NK int32 [N, k]: slots of each token, `slots` where it has none; no slot twice
 * @returns [slots, D]
 */
export function dispatch(x_ND: tf.Tensor2D, slot_NK: tf.Tensor2D, slots: number): tf.Tensor2D {
  // No slot twice: what one choice leaves 0 another may fill.
  return columns(slot_NK)
    .map((slot_N) => dispatchOne(x_ND, slot_N, slots))
    .reduce((sum, rows) => tf.add(sum, rows));
}

/**
 * Brings each token its slots' rows times their gates, zeros where it has no slot.
 *
 * @param y [slots, D]
 * @param slot_NK as for `dispatch`
 * @param gate_NK [N, k]
 * @returns [N, D]
 */
export function combine(y: tf.Tensor2D, slot_NK: tf.Tensor2D, gate_NK: tf.Tensor2D): tf.Tensor2D {
  const gates = columns(gate_NK);
  return columns(slot_NK)
    .map((slot_N, k) => combineOne(y, slot_N, gates[k]))
    .reduce((sum, rows) => tf.add(sum, rows));
}

/** Columns of [N, k], [N] each. */
function columns(x_NK: tf.Tensor2D): tf.Tensor1D[] {
  const [rows, count] = x_NK.shape;
  if (count === 1) return [tf.reshape(x_NK, [rows])];
  return Array.from({ length: count }, (_, k) =>
    fastOp(
      [x_NK],
      () => ({ value: tf.reshape(tf.slice2d(x_NK, [0, k], [rows, 1]), [rows]) as tf.Tensor1D, saved: [] }),
      (dy) => [
        tf.pad2d(tf.reshape(dy, [rows, 1]), [
          [0, 0],
          [k, count - 1 - k],
        ]),
      ],
    ),
  );
}

function dispatchOne(x_ND: tf.Tensor2D, slot_N: tf.Tensor1D, slots: number): tf.Tensor2D {
  const kernel = fastKernel("TorchDispatch");
  const back = fastKernel("TorchCombine");
  if (!kernel || !back) return dispatchReference(x_ND, slot_N, slots);
  return fastOp(
    [x_ND],
    () => ({ value: kernel({ x: x_ND, slot: slot_N }, { slots })[0] as tf.Tensor2D, saved: [slot_N] }),
    (dy, [slot]) => back({ y: dy, slot }),
  );
}

function combineOne(y: tf.Tensor2D, slot_N: tf.Tensor1D, gate_N: tf.Tensor1D): tf.Tensor2D {
  const kernel = fastKernel("TorchCombine");
  const gradient = fastKernel("TorchCombineGrad");
  if (!kernel || !gradient) return combineReference(y, slot_N, gate_N);
  return fastOp(
    [y, gate_N],
    () => ({ value: kernel({ y, slot: slot_N, gate: gate_N })[0] as tf.Tensor2D, saved: [y, slot_N, gate_N] }),
    (dy, [rows, slot, gate]) => gradient({ dy, y: rows, slot, gate }),
  );
}

/** What `dispatch` is held to. */
export function dispatchReference(x_ND: tf.Tensor2D, slot_N: tf.Tensor1D, slots: number): tf.Tensor2D {
  const op = tf.customGrad((x, save) => {
    (save as tf.GradSaveFunc)([slot_N]);
    return {
      value: scatterToSlots(x as tf.Tensor2D, slot_N, slots),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => gatherFromSlots(dy as tf.Tensor2D, saved[0] as tf.Tensor1D),
    };
  });
  return op(x_ND) as tf.Tensor2D;
}

/** What `combine` is held to. */
export function combineReference(y: tf.Tensor2D, slot_N: tf.Tensor1D, gate_N: tf.Tensor1D): tf.Tensor2D {
  const slots = y.shape[0];
  const gather = tf.customGrad((rows, save) => {
    (save as tf.GradSaveFunc)([slot_N]);
    return {
      value: gatherFromSlots(rows as tf.Tensor2D, slot_N),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        scatterToSlots(dy as tf.Tensor2D, saved[0] as tf.Tensor1D, slots),
    };
  });
  return tf.mul(gather(y), tf.expandDims(gate_N, 1)) as tf.Tensor2D;
}

function scatterToSlots(x_ND: tf.Tensor2D, slot_N: tf.Tensor1D, slots: number): tf.Tensor2D {
  return tf.slice2d(scatterRows(x_ND, slot_N, slots + 1), [0, 0], [slots, -1]);
}

function gatherFromSlots(y: tf.Tensor2D, slot_N: tf.Tensor1D): tf.Tensor2D {
  return gatherRows(tf.concat2d([y, tf.zeros([1, y.shape[1]])], 0), slot_N);
}
