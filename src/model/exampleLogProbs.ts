import * as tf from "@tensorflow/tfjs-core";
import { linear } from "../ops/linear.js";
import { linearLogProbs } from "../ops/linearCrossEntropy.js";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";
import { disposeReports, type RouterReport } from "./routerReport.js";
import { type ModelBatch, switchT5 } from "./switchT5.js";

export interface ExampleLogProbs {
  /** Summed log probability of each row's real targets, natural log, [B]. */
  logProbs: tf.Tensor1D;
  /** Real target tokens of each row, [B]. */
  tokens: tf.Tensor1D;
  routing: RouterReport[];
}

/** The model's quality on each row of a batch, without noise and with the evaluation capacity. The caller disposes of the result. */
export function exampleLogProbs(config: ModelConfig, params: Parameters, batch: ModelBatch): ExampleLogProbs {
  return tf.tidy(() => {
    const { hidden_BTD, head_VD, real_BT, routed } = switchT5(config, params, batch, { training: false });
    const hidden_ND = tf.reshape(hidden_BTD, [-1, config.dModel]) as tf.Tensor2D;
    const logProb_N = linearLogProbs(hidden_ND, head_VD, tf.reshape(batch.targets, [-1]));
    return {
      logProbs: tf.sum(tf.mul(tf.reshape(logProb_N, real_BT.shape), real_BT), 1),
      tokens: tf.sum(real_BT, 1),
      routing: routed.map(({ report }) => ({ ...report })),
    } as unknown as tf.TensorContainerObject;
  }) as unknown as ExampleLogProbs;
}

/** Frees the tensors of an evaluation. */
export function disposeExampleLogProbs({ logProbs, tokens, routing }: ExampleLogProbs): void {
  tf.dispose([logProbs, tokens]);
  disposeReports(routing);
}

/** The whole logits, [B, T, V]: for comparing models, not for training. The caller disposes of them. */
export function logits(config: ModelConfig, params: Parameters, batch: ModelBatch): tf.Tensor3D {
  return tf.tidy(() => {
    const { hidden_BTD, head_VD } = switchT5(config, params, batch, { training: false });
    return linear(hidden_BTD, head_VD);
  });
}
