import type * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.js";
import type { ModelBatch } from "./lossAndGradients.js";
import type { Parameters } from "./parameters.js";
import type { RouterReport } from "./routerReport.js";

export interface ExampleLogProbs {
  /** Summed log probability of each row's real targets, natural log, [B]. */
  logProbs: tf.Tensor1D;
  /** Real target tokens of each row, [B]. */
  tokens: tf.Tensor1D;
  routing: RouterReport[];
}

/** The model's quality on each row of a batch, without noise and with the evaluation capacity. The caller disposes of the result. */
export function exampleLogProbs(_config: ModelConfig, _params: Parameters, _batch: ModelBatch): ExampleLogProbs {
  throw new Error("internal: not written yet");
}

/** Frees the tensors of an evaluation. */
export function disposeExampleLogProbs(_result: ExampleLogProbs): void {
  throw new Error("internal: not written yet");
}
