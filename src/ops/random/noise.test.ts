import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath } from "../../../test/helpers/fastPaths.js";
import { random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { dropout, jitter, type NoiseKey, noiseReference } from "./noise.js";

const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];
const keyOf = (seed: number, place: string, step: number): NoiseKey => ({
  seed,
  place,
  step: tf.tensor1d([step], "int32"),
});

const tests = (): void => {
  it("is a function of seed, place and step alone", () => {
    const noise = (seed: number, place: string, step: number): number[] =>
      values(jitter(tf.ones([40]), 0.5, keyOf(seed, place, step)));
    expect(noise(1, "encoder.1", 7)).toEqual(noise(1, "encoder.1", 7));
    for (const other of [noise(2, "encoder.1", 7), noise(1, "encoder.2", 7), noise(1, "encoder.1", 8)]) {
      expect(noise(1, "encoder.1", 7)).not.toEqual(other);
    }
  });

  it("has the same bits on every backend", () => {
    for (const shape of [[0], [1], [3, 5, 7], [40_001]]) {
      const key = keyOf(2 ** 40, "jitter", 7);
      const noise = jitter(tf.ones(shape), 0.01, key);
      expect(noise.shape).toEqual(shape);
      expect(values(noise)).toEqual(values(noiseReference(shape, { kind: "jitter", amount: 0.01 }, key)));
      const kept = dropout(tf.ones(shape), 0.3, key);
      expect(values(kept)).toEqual(values(noiseReference(shape, { kind: "dropout", rate: 0.3 }, key)));
    }
  });

  it("jitter is uniform in its range", () => {
    const noise = values(jitter(tf.ones([10_000]), 0.01, keyOf(3, "x", 0)));
    expect(Math.min(...noise)).toBeGreaterThanOrEqual(Math.fround(0.99));
    expect(Math.max(...noise)).toBeLessThanOrEqual(Math.fround(1.01));
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    expect(Math.abs(mean - 1)).toBeLessThan(3 * (0.02 / Math.sqrt(12 * noise.length)));
  });

  it("gives the gradient the same factors", () => {
    const x = random([30, 7], 1);
    const dy = random([30, 7], 2);
    for (const noise of [
      (t: tf.Tensor) => jitter(t, 0.1, keyOf(4, "x", 1)),
      (t: tf.Tensor) => dropout(t, 0.25, keyOf(4, "x", 1)),
    ]) {
      expect(values(tf.grad(noise)(x, dy))).toEqual(values(noise(dy)));
    }
  });

  it("dropout zeroes its share and scales the rest", () => {
    const out = values(dropout(tf.ones([10_000]), 0.25, keyOf(4, "x", 0)));
    const zeros = out.filter((value) => value === 0).length;
    expect(Math.abs(zeros / out.length - 0.25)).toBeLessThan(0.02);
    expect(new Set(out)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
  });

  it("dropout of 0 is nothing at all", () => {
    const x = tf.ones([3]);
    expect(dropout(x, 0, keyOf(1, "x", 0))).toBe(x);
  });
};

describe.each(testBackends)("noise on %s", (backend) => {
  beforeAll(() => loadBackend(backend));
  tests();
});
describeFastPath("noise on torch", tests);
