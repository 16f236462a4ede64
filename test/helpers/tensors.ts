import * as tf from "@tensorflow/tfjs-core";
import { expect } from "vitest";
import { randomStream } from "../../src/base/random.js";

/** The backends that every operation is tested on; MSWITCH_TEST_BACKENDS names others (test/emulatedCuda.test.ts). */
export const testBackends = process.env.MSWITCH_TEST_BACKENDS?.split(",") ?? ["cpu", "wasm"];

/** Standard normals, the same for a seed on every backend. */
export function random(shape: number[], seed: number): tf.Tensor {
  const { normal } = randomStream(seed, "test");
  return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, normal), shape);
}

/** The values of a matrix as rows. */
export function rowsOf(matrix: tf.Tensor): number[][] {
  return matrix.arraySync() as number[][];
}

/** Values agree to `tolerance` of the largest expected one. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(1e-6, ...Array.from(expected, Math.abs));
  const worst = Math.max(...Array.from(expected, (value, i) => Math.abs(value - actual[i])));
  expect(worst / scale).toBeLessThan(tolerance);
}

/**
 * Holds the gradient of `f` with respect to each input to central differences of Σ f(x)·R for a fixed random R, summed in double
 * precision. Inputs must keep clear of kinks.
 */
export function expectGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[], tolerance = 3e-3): void {
  const step = 1e-2;
  const weights = tf.tidy(() => random(f(...inputs).shape, 99));
  const r = weights.dataSync();
  const valueAt = (which: number, values: Float32Array): number =>
    tf.tidy(() => {
      const changed = inputs.map((input, i) => (i === which ? tf.tensor(values, input.shape) : input));
      return Array.from(f(...changed).dataSync()).reduce((sum, value, i) => sum + value * r[i], 0);
    });
  const before = tf.memory().numTensors;
  const analytic = tf.grads(f)(inputs, weights);
  expect(tf.memory().numTensors - before).toBe(inputs.length);
  for (const [which, input] of inputs.entries()) {
    const values = Float32Array.from(input.dataSync());
    const numeric = Array.from(values, (value, i) => {
      const difference = [1, -1].map((sign) => {
        const moved = values.slice();
        moved[i] = value + sign * step;
        return [valueAt(which, moved), moved[i]];
      });
      return (difference[0][0] - difference[1][0]) / (difference[0][1] - difference[1][1]);
    });
    expectClose(analytic[which].dataSync(), numeric, tolerance);
  }
  tf.dispose([weights, ...analytic]);
}
