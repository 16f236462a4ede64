import * as tf from "@tensorflow/tfjs-core";
import { type RankGroup, sumOfParts } from "./distributed/collectives.js";
import { fastKernel, fastOp } from "./fastPath.js";
import { type Dtype, precision } from "./precision.js";
import { gatherRows, mulConstant, scatterRows } from "./rows.js";

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

/**
 * The same of a table whose rows are split over the ranks of a group, in order: each looks up what it has.
 *
 * @param part_VD this rank's rows, [V / ranks, D]
 */
export function embeddingPart(part_VD: tf.Tensor2D, ids: tf.Tensor, group: RankGroup): tf.Tensor {
  if (group.size === 1) return embedding(part_VD, ids);
  const { local, isHere } = idsOfPart(ids, part_VD.shape[0], group);
  return sumOfParts(mulConstant(embedding(part_VD, local), tf.expandDims(isHere, -1)), group);
}

/** Ids as rows of this rank's part of a table, 0 where another rank has them; and 1 where it is this one, else 0. */
export function idsOfPart(ids: tf.Tensor, rows: number, { rank }: RankGroup): { local: tf.Tensor; isHere: tf.Tensor } {
  return tf.tidy(() => {
    const shifted = tf.sub(ids, tf.scalar(rank * rows, "int32"));
    const isHere = tf.logicalAnd(tf.greaterEqual(shifted, 0), tf.less(shifted, rows));
    const here = tf.cast(isHere, "int32");
    return { local: tf.mul(shifted, here), isHere: tf.cast(isHere, "float32") };
  });
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
