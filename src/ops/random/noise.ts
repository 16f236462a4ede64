import * as tf from "@tensorflow/tfjs-core";
import { randomState } from "../../base/random.js";
import { fastKernel, fastOp } from "../fastPath.js";
import type { Dtype } from "../precision.js";
import { type PhiloxKey, philox } from "./philox.js";

/**
 * What noise is for. The same seed, place and step give the same numbers on every backend: number i of a tensor is word i mod 4 of
 * Philox4x32-10 with key (seed, place) and counter (⌊i/4⌋, step).
 */
export interface NoiseKey {
  seed: number;
  place: string;
  /** int32 [1]: a tensor, so that a step that was captured as a graph draws anew with every replay. */
  step: tf.Tensor1D;
}

/** Factors of a tensor's entries: uniform in [1 − amount, 1 + amount), or 0 with probability `rate` and 1/(1 − rate) else. */
type Factors = { kind: "jitter"; amount: number } | { kind: "dropout"; rate: number };

/** x·U[1 − amount, 1 + amount), float32. */
export function jitter<T extends tf.Tensor>(x: T, amount: number, key: NoiseKey): T {
  return timesNoise(x, { kind: "jitter", amount }, key);
}

/** Attributes of fused kernels that multiply what they take by jitter; they have an input `step`. */
export function jitterAttributes(amount: number, key: NoiseKey): { a: number; b: number; key: number[] } {
  const { a, b } = attributesOf({ kind: "jitter", amount });
  return { a, b, key: [...philoxKey(key)] };
}

/** Which entries of a tensor are dropped: each with probability `rate`; the rest are scaled by 1/(1 − rate). */
export interface Dropout {
  rate: number;
  key: NoiseKey;
}

/** Attributes of fused kernels that drop entries of what they compute in between; their input `step` is there where they do. */
export function dropoutAttributes(spec: Dropout | undefined): { rate: number; scale: number; key: number[] } {
  if (!spec) return { rate: 0, scale: 1, key: [0, 0] };
  const { a: rate, b: scale } = attributesOf({ kind: "dropout", rate: spec.rate });
  return { rate, scale, key: [...philoxKey(spec.key)] };
}

/**
 * Zeroes each entry with probability `rate` and scales the rest by 1/(1 − rate).
 *
 * @param dtype of the result in memory, on a backend that has it
 */
export function dropout<T extends tf.Tensor>(x: T, rate: number, key: NoiseKey, dtype: Dtype = "float32"): T {
  return rate === 0 ? x : timesNoise(x, { kind: "dropout", rate }, key, dtype);
}

/** Standard Gumbel noise, −ln(−ln u): the argmax of logits with it is a draw from their softmax. Float32, a constant. */
export function gumbel(shape: number[], key: NoiseKey): tf.Tensor {
  return tf.tidy(() => {
    const uniform = tf.sub(jitter(tf.fill(shape, 1), 0.5, key), 0.5);
    // 24 bits: the least above 0 and the greatest below 1 lie 2^-24 from them.
    return tf.neg(tf.log(tf.neg(tf.log(tf.clipByValue(uniform, 2 ** -25, 1 - 2 ** -24)))));
  });
}

function timesNoise<T extends tf.Tensor>(x: T, factors: Factors, key: NoiseKey, dtype: Dtype = "float32"): T {
  const kernel = fastKernel("TorchNoise");
  if (!kernel) return tf.mul(x, noiseReference(x.shape, factors, key)) as T;
  const attrs = { ...attributesOf(factors), key: philoxKey(key), precision: dtype };
  const run = (values: tf.Tensor, step: tf.Tensor): tf.Tensor => kernel({ x: values, step }, attrs)[0];
  // The factors are drawn once more for the gradient: nothing is kept for it.
  return fastOp(
    [x],
    () => ({ value: run(x, key.step) as T, saved: [key.step] }),
    (dy, [step]) => [run(dy, step)],
  );
}

function philoxKey({ seed, place }: NoiseKey): PhiloxKey {
  const [k0, k1] = randomState(seed, place);
  return [k0 >>> 0, k1 >>> 0];
}

/** As the kernel takes them, rounded to float32: for jitter low and range, for dropout rate and scale. */
function attributesOf(factors: Factors): { isDropout: boolean; a: number; b: number } {
  return factors.kind === "dropout"
    ? { isDropout: true, a: Math.fround(factors.rate), b: Math.fround(1 / (1 - factors.rate)) }
    : { isDropout: false, a: Math.fround(1 - factors.amount), b: Math.fround(2 * factors.amount) };
}

/** The factors drawn in TypeScript: what the fast path is held to, bit by bit. */
export function noiseReference(shape: number[], factors: Factors, key: NoiseKey): tf.Tensor {
  const { isDropout, a, b } = attributesOf(factors);
  const [step] = key.step.dataSync();
  const ofKey = philoxKey(key);
  const values = new Float32Array(tf.util.sizeFromShape(shape));
  const words = new Uint32Array(4);
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / 4);
    if (i % 4 === 0) philox(ofKey, block >>> 0, Math.floor(block / 2 ** 32), step >>> 0, 0, words, 0);
    // 24 bits: every one of them is a float32.
    const uniform = (words[i % 4] >>> 8) / 2 ** 24;
    if (isDropout) values[i] = uniform < a ? 0 : b;
    else values[i] = a + Math.fround(b * uniform);
  }
  return tf.tensor(values, shape);
}
