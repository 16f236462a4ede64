import * as tf from "@tensorflow/tfjs-core";
import { randomState, randomStream } from "../base/random.js";
import { fastKernel } from "./fastPath.js";

/** What a random number is for: root seed, step, place. The same key gives the same numbers on every backend. */
export type NoiseKey = (number | string)[];

/** Uniform in [low, high). */
export function uniformNoise(shape: number[], low: number, high: number, key: NoiseKey): tf.Tensor {
  const kernel = fastKernel("TorchUniform");
  return kernel
    ? kernel({}, { shape, low, high, state: randomState(...key) })[0]
    : uniformNoiseReference(shape, low, high, key);
}

/** The same drawn in TypeScript: what the fast path is held to, bit by bit. */
export function uniformNoiseReference(shape: number[], low: number, high: number, key: NoiseKey): tf.Tensor {
  const { uint32 } = randomStream(...key);
  const values = new Float32Array(tf.util.sizeFromShape(shape));
  const scale = (high - low) / 2 ** 32;
  for (let i = 0; i < values.length; i++) values[i] = low + scale * uint32();
  return tf.tensor(values, shape);
}

/** Zeroes each entry with probability `rate` and scales the rest by 1/(1 − rate). */
export function dropout<T extends tf.Tensor>(x: T, rate: number, key: NoiseKey): T {
  if (rate === 0) return x;
  const keep = tf.cast(tf.greaterEqual(uniformNoise(x.shape, 0, 1, key), rate), "float32");
  return tf.mul(x, tf.div(keep, 1 - rate)) as T;
}
