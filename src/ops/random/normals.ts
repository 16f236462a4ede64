import * as tf from "@tensorflow/tfjs-core";
import { randomState, randomStream } from "../../base/random.js";
import { fastKernel } from "../fastPath.js";

/** A tensor of standard normal numbers times `factor`. */
export interface NormalDraw {
  /** Of its random stream (`randomStream`). */
  key: (number | string)[];
  shape: number[];
  factor: number;
  /** Whether numbers beyond 2, before the factor, are drawn again. */
  truncated: boolean;
}

/** Float32 tensors, each a function of its draw alone: the same bits on every backend. Many at once are drawn side by side where the backend can. */
export function drawNormals(draws: readonly NormalDraw[]): tf.Tensor[] {
  const kernel = fastKernel("TorchNormals");
  if (!kernel) return draws.map(normalsReference);
  return kernel({}, { draws: draws.map(({ key, ...draw }) => ({ ...draw, state: randomState(...key) })) });
}

/** The same drawn in TypeScript: what the kernel is held to, bit by bit. */
export function normalsReference({ key, shape, factor, truncated }: NormalDraw): tf.Tensor {
  const random = randomStream(...key);
  const values = new Float32Array(tf.util.sizeFromShape(shape));
  for (let i = 0; i < values.length; i++) {
    let z = random.normal();
    if (truncated) while (Math.abs(z) > 2) z = random.normal();
    values[i] = z * factor;
  }
  return tf.tensor(values, shape);
}
