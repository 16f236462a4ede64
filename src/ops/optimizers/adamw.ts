import * as tf from "@tensorflow/tfjs-core";
import {
  type OptimizedParameter,
  type OptimizerAlgorithm,
  optimizerAlgorithm,
  rootMeanSquare,
  scaledGradient,
  type UpdatePlace,
} from "./algorithm.js";

export interface AdamWOptions {
  /** Decay of the mean of gradients and of their squares. */
  beta1: number;
  beta2: number;
  /** Added to the root of the second moment, after its bias is corrected (PyTorch's place for it). */
  epsilon: number;
  /** A parameter shrinks by learning rate · weightDecay in each step, whatever its gradient. */
  weightDecay: number;
  /** The step is scaled by the parameter's RMS, at least 1e-3, as Adafactor's is (nanoT5's AdamWScale). Stacked experts each by their own. */
  scaleByParameterRms: boolean;
}

/** Least RMS a parameter is taken to have. */
const minParameterRms = 1e-3;

/** AdamW (Loshchilov & Hutter 2019), with PyTorch's arithmetic. */
export function adamw(options: AdamWOptions): OptimizerAlgorithm {
  const { beta1, beta2, epsilon, weightDecay, scaleByParameterRms } = options;
  return optimizerAlgorithm({
    stateShapes: (shape) =>
      new Map([
        ["mean", [...shape]],
        ["square", [...shape]],
      ]),
    // Learning rate, 1 − β₁ᵗ, √(1 − β₂ᵗ), the gradients' scale.
    rates: ({ learningRate, step, gradientScale = 1 }) =>
      Float32Array.of(learningRate, 1 - beta1 ** (step + 1), Math.sqrt(1 - beta2 ** (step + 1)), gradientScale),
    reference: (parameter, place) => adamwUpdate(parameter, place, options),
    kernel: "TorchAdamW",
    attributes: { beta1, beta2, epsilon, weightDecay, scaleByParameterRms },
  });
}

/** One parameter's step: what the kernel is held to. */
function adamwUpdate({ param, gradient, state }: OptimizedParameter, place: UpdatePlace, options: AdamWOptions): void {
  const { beta1, beta2, epsilon, weightDecay, scaleByParameterRms } = options;
  const { learningRate, step } = place;
  tf.tidy(() => {
    const g = scaledGradient(gradient, place);
    const moment = (slot: string, beta: number, latest: tf.Tensor): tf.Tensor => {
      const variable = state.get(slot)!;
      const value = tf.add(tf.mul(variable, beta), tf.mul(latest, 1 - beta));
      variable.assign(value);
      return value;
    };
    const mean = moment("mean", beta1, g);
    const square = moment("square", beta2, tf.square(g));
    const root = tf.add(tf.div(tf.sqrt(square), Math.sqrt(1 - beta2 ** (step + 1))), epsilon);
    const rate = learningRate / (1 - beta1 ** (step + 1));
    const size = scaleByParameterRms ? tf.mul(tf.maximum(rootMeanSquare(param), minParameterRms), rate) : rate;
    const decayed = tf.mul(param, 1 - learningRate * weightDecay);
    param.assign(tf.sub(decayed, tf.mul(tf.div(mean, root), size)));
  });
}
