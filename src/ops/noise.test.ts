import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { dropout, uniformNoise, uniformNoiseReference } from "./noise.js";

const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

describe.each(testBackends)("noise on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("is a function of its key alone", () => {
    const key = [1, "jitter", 7, "encoder.1"];
    expect(values(uniformNoise([40], 0, 1, key))).toEqual(values(uniformNoise([40], 0, 1, key)));
    expect(values(uniformNoise([40], 0, 1, key))).not.toEqual(
      values(uniformNoise([40], 0, 1, [1, "jitter", 8, "encoder.1"])),
    );
  });

  it("has the same bits on every backend", () => {
    for (const shape of [[0], [1], [3, 5, 7], [40_000]]) {
      const noise = uniformNoise(shape, 0.99, 1.01, [2 ** 40, "jitter", 7]);
      expect(noise.shape).toEqual(shape);
      expect(values(noise)).toEqual(values(uniformNoiseReference(shape, 0.99, 1.01, [2 ** 40, "jitter", 7])));
    }
  });

  it("is uniform in its range", () => {
    const noise = values(uniformNoise([10_000], 0.99, 1.01, [3]));
    expect(Math.min(...noise)).toBeGreaterThanOrEqual(Math.fround(0.99));
    expect(Math.max(...noise)).toBeLessThan(1.01);
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    expect(Math.abs(mean - 1)).toBeLessThan(3 * (0.02 / Math.sqrt(12 * noise.length)));
  });

  it("dropout zeroes its share, scales the rest, and gives the gradient the same mask", () => {
    const x = tf.ones([10_000]);
    const out = values(dropout(x, 0.25, [4]));
    const zeros = out.filter((value) => value === 0).length;
    expect(Math.abs(zeros / out.length - 0.25)).toBeLessThan(0.02);
    expect(new Set(out)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expect(values(tf.grad((t: tf.Tensor) => dropout(t, 0.25, [4]))(x))).toEqual(out);
  });

  it("dropout of 0 is nothing at all", () => {
    const x = tf.ones([3]);
    expect(dropout(x, 0, [1])).toBe(x);
  });
});
