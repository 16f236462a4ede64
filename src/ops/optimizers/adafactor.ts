import * as tf from "@tensorflow/tfjs-core";
import {
  type OptimizedParameter,
  type OptimizerAlgorithm,
  optimizerAlgorithm,
  rootMeanSquare,
  scaledGradient,
  type UpdatePlace,
} from "./algorithm.js";

/** Added to g². */
export const epsilonGradient = 1e-30;
/** Least RMS a parameter is taken to have: what is 0 can still move. */
export const epsilonParameter = 1e-3;
const decayExponent = 0.8;
export const clippingThreshold = 1;
/** Both axes must be this long for a matrix's moments to be factored (T5X, Mesh TensorFlow). */
const defaultMinFactoredSize = 128;

/**
 * Shapes of a parameter's state by slot: `row` and `column` where factored, `full` where not. A third axis in front is a stack of
 * experts, each factored on its own.
 *
 * @param minFactoredSize factor only where both of the last two axes have at least this many entries
 */
export function adafactorStateShapes(
  shape: readonly number[],
  minFactoredSize = defaultMinFactoredSize,
): Map<string, number[]> {
  const [rows, columns] = shape.slice(-2);
  if (shape.length < 2 || Math.min(rows, columns) < minFactoredSize) return new Map([["full", [...shape]]]);
  const stack = shape.slice(0, -2);
  return new Map([
    ["row", [...stack, rows]],
    ["column", [...stack, columns]],
  ]);
}

/**
 * Adafactor as T5X has it (Shazeer & Stern 2018): factored second moments, updates clipped at RMS 1 and scaled by the parameter's own
 * RMS, no momentum, no weight decay. Stacked experts are factored, clipped and scaled each on its own.
 */
export function adafactor({ minFactoredSize }: { minFactoredSize?: number } = {}): OptimizerAlgorithm {
  return optimizerAlgorithm({
    stateShapes: (shape) => adafactorStateShapes(shape, minFactoredSize),
    // Learning rate, β, the gradients' scale.
    rates: ({ learningRate, step, gradientScale = 1 }) => Float32Array.of(learningRate, betaAt(step), gradientScale),
    reference: adafactorUpdate,
    kernel: "TorchAdafactor",
  });
}

/** β = 1 − (step + 1)^−0.8. */
export const betaAt = (step: number): number => 1 - (step + 1) ** -decayExponent;

/** One parameter's step: what the fast path is held to. */
export function adafactorUpdate(parameter: OptimizedParameter, place: UpdatePlace): void {
  const { param, state } = parameter;
  tf.tidy(() => {
    const gradient = scaledGradient(parameter.gradient, place);
    const beta = betaAt(place.step);
    const g2 = tf.add(tf.square(gradient), epsilonGradient);
    const moment = (slot: string, latest: tf.Tensor): tf.Tensor => {
      const variable = state.get(slot)!;
      const value = tf.add(tf.mul(variable, beta), tf.mul(latest, 1 - beta));
      variable.assign(value);
      return value;
    };

    let update: tf.Tensor;
    if (state.has("full")) {
      update = tf.mul(gradient, tf.rsqrt(moment("full", g2)));
    } else {
      const row = moment("row", tf.mean(g2, -1));
      const column = moment("column", tf.mean(g2, -2));
      const rowFactor = tf.rsqrt(tf.div(row, tf.mean(row, -1, true)));
      update = tf.mul(tf.mul(gradient, tf.expandDims(rowFactor, -1)), tf.expandDims(tf.rsqrt(column), -2));
    }

    const clip = tf.maximum(tf.div(rootMeanSquare(update), clippingThreshold), 1);
    const rate = tf.mul(tf.maximum(rootMeanSquare(param), epsilonParameter), place.learningRate);
    param.assign(tf.sub(param, tf.mul(update, tf.div(rate, clip))));
  });
}
