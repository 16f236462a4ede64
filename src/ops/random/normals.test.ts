import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { describeTorch } from "../../../test/helpers/fastPaths.js";
import { adafactor, adafactorStateShapes } from "../optimizers/adafactor.js";
import { drawNormals, normalsReference } from "./normals.js";

const key = (name: string): (number | string)[] => [7, "init", name];

describeTorch("normal numbers on torch", () => {
  it("are the reference's, bit by bit, in whatever number they are drawn", () => {
    const sizes = [0, 1, 2, 511, 512, 513, 40_001, 1_500_000];
    const draws = sizes.flatMap((size) =>
      [true, false].map((truncated) => ({ key: key(`${size}`), shape: [size], factor: 0.017, truncated })),
    );
    for (const [i, tensor] of drawNormals(draws).entries()) {
      const expected = normalsReference(draws[i]).dataSync();
      const actual = tensor.dataSync();
      expect(actual.length).toBe(draws[i].shape[0]);
      const different = actual.findIndex((value, at) => !Object.is(value, expected[at]));
      expect(different, `of ${draws[i].shape}, truncated: ${draws[i].truncated}`).toBe(-1);
    }
  });

  it("are changed in place by an optimizer", () => {
    const [tensor] = drawNormals([{ key: key("weights"), shape: [130, 140], factor: 1, truncated: false }]);
    const param = tf.variable(tensor);
    const before = param.dataSync();
    const state = new Map(
      [...adafactorStateShapes([130, 140])].map(([slot, size]) => [slot, tf.variable(tf.zeros(size))]),
    );
    adafactor().update([{ param, gradient: tf.ones([130, 140]), state }], { learningRate: 0.1, step: 0 });
    expect(param.dataSync().some((value, i) => value !== before[i])).toBe(true);
  });

  it("ask JavaScript for what its rounding decides", () => {
    // With many values one in four million is so close to the middle of two float32 that it is asked for.
    const [log, cos] = [Math.log, Math.cos];
    let asked = 0;
    Math.cos = (x) => {
      asked++;
      return cos(x);
    };
    try {
      tf.dispose(drawNormals([{ key: key("many"), shape: [4000, 8000], factor: 1, truncated: false }]));
    } finally {
      [Math.log, Math.cos] = [log, cos];
    }
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(100);
  });
});

describe("the reference", () => {
  it("is normal, and cut at 2 where it is truncated", () => {
    const draw = { key: key("x"), shape: [20_000], factor: 3, truncated: false };
    const values = normalsReference(draw).dataSync();
    const cut = normalsReference({ ...draw, truncated: true }).dataSync();
    const deviation = (all: ArrayLike<number>) =>
      Math.sqrt(Array.from(all).reduce((sum, value) => sum + value * value, 0) / all.length);
    expect(deviation(values)).toBeCloseTo(3, 1);
    expect(deviation(cut)).toBeCloseTo(0.88 * 3, 1);
    expect(Math.max(...Array.from(cut, Math.abs))).toBeLessThanOrEqual(6);
  });
});
