import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";
import { type Dtype, precision } from "./precision.js";
import { gatherRows, scatterRows } from "./rows.js";

/**
 * Looks ids up in a table.
 *
 * @param table_VD [V, D]
 * @param ids int32, any shape, each in [0, V)
 * @param dtype of the result in memory, on a backend that has it
 * @returns [...ids, D]
 */
export function embedding(table_VD: tf.Tensor2D, ids: tf.Tensor, dtype: Dtype = "float32"): tf.Tensor {
  const lookUp = fastKernel("TorchEmbedding");
  const gradient = fastKernel("TorchEmbeddingGrad");
  if (!lookUp || !gradient) return precision(embeddingReference(table_VD, ids), dtype);
  return fastOp(
    [table_VD],
    () => ({ value: lookUp({ table: table_VD, ids }, { precision: dtype })[0], saved: [ids] }),
    (dy, [chosen]) => gradient({ dy, ids: chosen }, { rows: table_VD.shape[0] }),
  );
}

/** What `embedding` is held to, in TensorFlow.js's operations. */
export function embeddingReference(table_VD: tf.Tensor2D, ids: tf.Tensor): tf.Tensor {
  const [rows, width] = table_VD.shape;
  const op = tf.customGrad((table, save) => {
    const ids_N = tf.reshape(ids, [-1]) as tf.Tensor1D;
    (save as tf.GradSaveFunc)([ids_N]);
    return {
      value: tf.reshape(gatherRows(table as tf.Tensor2D, ids_N), [...ids.shape, width]),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        scatterRows(tf.reshape(dy, [-1, width]), saved[0] as tf.Tensor1D, rows),
    };
  });
  return op(table_VD);
}
