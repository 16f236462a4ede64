import * as tf from "@tensorflow/tfjs-core";
import { logProbsOfParts } from "../ops/distributed/crossEntropyOfParts.js";
import { linear } from "../ops/linear.js";
import { linearLogProbs } from "../ops/linearCrossEntropy.js";
import { precision } from "../ops/precision.js";
import type { ModelConfig } from "./config.js";
import type { ModelGroups } from "./modelGroups.js";
import type { Parameters } from "./parameters.js";
import { disposeReports, type RouterReport } from "./routerReport.js";
import { type ModelBatch, switchT5 } from "./switchT5.js";

export interface ExampleLogProbs {
  /** Summed log probability of each row's real targets, natural log, [B]. */
  logProbs: tf.Tensor1D;
  /** Real target tokens of each row, [B]. */
  tokens: tf.Tensor1D;
  /** How many of them are the most likely token in their place, [B]; where asked for. */
  hits?: tf.Tensor1D;
  routing: RouterReport[];
}

/**
 * The model's quality on each row of a batch, without noise and with the evaluation capacity. The caller disposes of the result.
 *
 * @param groups over whom the model is split: all of them call this with batches of as many rows
 * @param withHits a row all of whose tokens are hits is what the model writes greedily for its source, and no other row is
 */
export function exampleLogProbs(
  config: ModelConfig,
  params: Parameters,
  batch: ModelBatch,
  withHits = false,
  groups?: ModelGroups,
): ExampleLogProbs {
  return tf.tidy(() => {
    const { hidden_BTD, head_VD, real_BT, routed } = switchT5(config, params, batch, { training: false, groups });
    const hidden_ND = tf.reshape(hidden_BTD, [-1, config.dModel]) as tf.Tensor2D;
    const target_N = tf.reshape(batch.targets, [-1]) as tf.Tensor1D;
    const ofRows = (x_N: tf.Tensor): tf.Tensor => tf.sum(tf.mul(tf.reshape(x_N, real_BT.shape), real_BT), 1);
    const split = groups && groups.model.size > 1 ? logProbsOfParts(hidden_ND, head_VD, target_N, groups.model) : null;
    const logProb_N = split?.logProb_N ?? linearLogProbs(hidden_ND, head_VD, target_N);
    return {
      logProbs: ofRows(logProb_N),
      tokens: tf.sum(real_BT, 1),
      ...(withHits
        ? { hits: split ? ofRows(split.isBest_N) : hitsOf(hidden_ND, head_VD, batch.targets, real_BT) }
        : {}),
      routing: routed.map(({ report }) => ({ ...report })),
    } as unknown as tf.TensorContainerObject;
  }) as unknown as ExampleLogProbs;
}

/** Positions whose logits are held at a time: 64 MB with mT5's vocabulary. */
const hitRows = 64;

/** Real targets of each row that no other token is likelier than, [B]. */
function hitsOf(
  hidden_ND: tf.Tensor2D,
  head_VD: tf.Tensor2D,
  targets_BT: tf.Tensor2D,
  real_BT: tf.Tensor2D,
): tf.Tensor1D {
  const target_N = tf.reshape(targets_BT, [-1]);
  const parts: tf.Tensor1D[] = [];
  for (let begin = 0; begin < target_N.size; begin += hitRows) {
    const rows = Math.min(hitRows, target_N.size - begin);
    parts.push(
      tf.tidy(() => {
        const rows_RD = tf.slice2d(hidden_ND, [begin, 0], [rows, hidden_ND.shape[1]]);
        const logits_RV = precision(linear(rows_RD, head_VD), "float32");
        const best_R = tf.argMax(logits_RV, 1);
        return tf.cast(tf.equal(best_R, tf.slice1d(target_N as tf.Tensor1D, begin, rows)), "float32") as tf.Tensor1D;
      }),
    );
  }
  return tf.sum(tf.mul(tf.reshape(tf.concat1d(parts), real_BT.shape), real_BT), 1);
}

/** Frees the tensors of an evaluation. */
export function disposeExampleLogProbs({ logProbs, tokens, hits, routing }: ExampleLogProbs): void {
  tf.dispose([logProbs, tokens, ...(hits ? [hits] : [])]);
  disposeReports(routing);
}

/** The whole logits, [B, T, V]: for comparing models, not for training. The caller disposes of them. */
export function logits(config: ModelConfig, params: Parameters, batch: ModelBatch): tf.Tensor3D {
  return tf.tidy(() => {
    const { hidden_BTD, head_VD } = switchT5(config, params, batch, { training: false });
    return linear(hidden_BTD, head_VD);
  });
}
