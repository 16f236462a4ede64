import type * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";
import type { RouterReport } from "./routerReport.js";

/** Ids of a batch, int32, padded with 0 on the right; the model shifts the targets right itself. */
export interface ModelBatch {
  /** [B, S] */
  inputs: tf.Tensor2D;
  /** [B, T] */
  targets: tf.Tensor2D;
}

export interface StepResult {
  /** crossEntropy + auxLoss + zLoss: what the gradients are of. */
  loss: tf.Scalar;
  /** Mean over the batch's real target tokens, natural log. */
  crossEntropy: tf.Scalar;
  /** Weighted load-balancing loss α·N·Σ f·P, summed over layers; 0 where dense. */
  auxLoss: tf.Scalar;
  /** Weighted router z-loss, summed over layers. */
  zLoss: tf.Scalar;
  /** One per Switch layer, encoder first. */
  routing: RouterReport[];
  /** Of every parameter, by its name and in its shape. */
  gradients: Map<string, tf.Tensor>;
}

/** One training step's loss and gradients. The caller disposes of the result (`disposeStep`). Noise is a function of seed and step. */
export function lossAndGradients(
  _config: ModelConfig,
  _params: Parameters,
  _batch: ModelBatch,
  _options: { seed: number; step: number },
): StepResult {
  throw new Error("internal: not written yet");
}

/** Frees every tensor of a step. */
export function disposeStep(_result: StepResult): void {
  throw new Error("internal: not written yet");
}
