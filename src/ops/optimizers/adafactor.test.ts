import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath } from "../../../test/helpers/fastPaths.js";
import { expectClose, random, rowsOf, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { fastKernel } from "../fastPath.js";
import { expertFeedForward } from "../moe/expertFeedForward.js";
import { precision } from "../precision.js";
import { adafactor, adafactorStateShapes, adafactorUpdate } from "./adafactor.js";
import type { OptimizedParameter } from "./algorithm.js";

function freshState(shape: number[], minFactoredSize?: number): Map<string, tf.Variable> {
  const shapes = adafactorStateShapes(shape, minFactoredSize);
  return new Map([...shapes].map(([slot, size]) => [slot, tf.tidy(() => tf.variable(tf.zeros(size)))]));
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const rms = (values: number[]): number => Math.sqrt(mean(values.map((value) => value * value)));

/** Adafactor of one matrix as its paper writes it, in double precision. */
class PlainAdafactor {
  row: number[];
  column: number[];
  full: number[][];
  constructor(
    public value: number[][],
    private factored: boolean,
  ) {
    this.row = value.map(() => 0);
    this.column = value[0].map(() => 0);
    this.full = value.map((row) => row.map(() => 0));
  }

  step(gradient: number[][], t: number, learningRate: number): void {
    const beta = 1 - (t + 1) ** -0.8;
    const g2 = gradient.map((row) => row.map((g) => g * g + 1e-30));
    const mix = (old: number, latest: number): number => beta * old + (1 - beta) * latest;
    this.row = this.row.map((r, i) => mix(r, mean(g2[i])));
    this.column = this.column.map((c, j) => mix(c, mean(g2.map((row) => row[j]))));
    this.full = this.full.map((row, i) => row.map((v, j) => mix(v, g2[i][j])));
    const moment = (i: number, j: number): number =>
      this.factored ? (this.row[i] / mean(this.row)) * this.column[j] : this.full[i][j];
    const update = gradient.map((row, i) => row.map((g, j) => g / Math.sqrt(moment(i, j))));
    const clip = Math.max(1, rms(update.flat()));
    const rate = learningRate * Math.max(rms(this.value.flat()), 1e-3);
    this.value = this.value.map((row, i) => row.map((p, j) => p - (rate * update[i][j]) / clip));
  }
}

describe("adafactorStateShapes", () => {
  it("factors where both of the last two axes are long enough, each expert on its own", () => {
    expect(Object.fromEntries(adafactorStateShapes([128, 200]))).toEqual({ row: [128], column: [200] });
    expect(Object.fromEntries(adafactorStateShapes([127, 200]))).toEqual({ full: [127, 200] });
    expect(Object.fromEntries(adafactorStateShapes([8, 256, 128]))).toEqual({ row: [8, 256], column: [8, 128] });
    expect(Object.fromEntries(adafactorStateShapes([8, 256, 64]))).toEqual({ full: [8, 256, 64] });
    expect(Object.fromEntries(adafactorStateShapes([768]))).toEqual({ full: [768] });
    expect(Object.fromEntries(adafactorStateShapes([3, 2], 1))).toEqual({ row: [3], column: [2] });
  });
});

describe.each(testBackends)("adafactorUpdate on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it.each([true, false])("follows the paper's equations over several steps, factored: %s", (factored) => {
    const param = tf.variable(random([4, 3], 1));
    const state = freshState([4, 3], factored ? 1 : 128);
    const plain = new PlainAdafactor(rowsOf(param), factored);
    const before = tf.memory().numTensors;
    for (let step = 0; step < 4; step++) {
      const gradient = random([4, 3], 10 + step);
      adafactorUpdate({ param: param, gradient: gradient, state: state }, { learningRate: 0.1, step });
      plain.step(rowsOf(gradient), step, 0.1);
      gradient.dispose();
      expectClose(param.dataSync(), plain.value.flat());
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each([true, false])("gives stacked experts what each would get alone, factored: %s", (factored) => {
    const minFactoredSize = factored ? 1 : 128;
    // Of very different sizes, so that a shared clip or scale would show.
    const sizes = tf.tensor3d([1, 100, 0.001], [3, 1, 1]);
    const initial = tf.mul(random([3, 4, 5], 1), sizes);
    const stacked = tf.variable(initial);
    const stackedState = freshState([3, 4, 5], minFactoredSize);
    const alone = tf.unstack(initial).map((own) => tf.variable(own));
    const aloneState = alone.map((own) => freshState(own.shape, minFactoredSize));
    for (let step = 0; step < 3; step++) {
      const gradient = tf.mul(random([3, 4, 5], 20 + step), sizes);
      adafactorUpdate({ param: stacked, gradient: gradient, state: stackedState }, { learningRate: 0.1, step });
      for (const [i, own] of tf.unstack(gradient).entries()) {
        adafactorUpdate({ param: alone[i], gradient: own, state: aloneState[i] }, { learningRate: 0.1, step });
      }
    }
    for (const [i, own] of tf.unstack(stacked).entries()) expectClose(own.dataSync(), alone[i].dataSync());
  });

  it("moves what is 0, and keeps still where there is no gradient", () => {
    const zero = tf.variable(tf.zeros([3]));
    adafactorUpdate(
      { param: zero, gradient: tf.tensor1d([1, -2, 0]), state: freshState([3]) },
      { learningRate: 1, step: 0 },
    );
    // At the first step the unclipped update is the sign of the gradient; two of three entries make its RMS less than 1.
    expectClose(zero.dataSync(), [-1e-3, 1e-3, 0]);
  });
});

describeFastPath("adafactor's fast path", () => {
  // A vector, a matrix in full, factored ones, stacks of both kinds; the last is large enough for all threads to share it.
  const shapes = [[7], [20, 30], [130, 150], [3, 140, 129], [4, 5, 6], [130, 8200]];

  /** Quick to make, whatever the size. */
  const waves = (shape: number[], seed: number): tf.Tensor =>
    tf.reshape(tf.sin(tf.mul(tf.range(0, tf.util.sizeFromShape(shape)), seed + 0.7)), shape);
  /** Within 1e-6 of the largest entry. */
  const expectSame = (actual: tf.Tensor, expected: tf.Tensor): void =>
    tf.tidy(() => {
      const worst = tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0];
      expect(worst).toBeLessThan(1e-6 * tf.max(tf.abs(expected)).dataSync()[0]);
    });

  it.each(["float32", "bfloat16"] as const)("is the reference within 1e-6, gradients in %s", (width) => {
    const before = tf.memory().numTensors;
    const fresh = (): Omit<OptimizedParameter, "gradient">[] =>
      shapes.map((shape, i) => ({
        param: tf.tidy(() => tf.variable(tf.mul(waves(shape, i), 10 ** (i % 3)))),
        state: freshState(shape),
      }));
    const [fast, reference] = [fresh(), fresh()];
    for (let step = 0; step < 3; step++) {
      const gradients = shapes.map((shape, i) =>
        tf.tidy(() => precision(tf.mul(waves(shape, 50 + i + step), 0.01), width)),
      );
      const with_ = (list: typeof fast) => list.map((own, i) => ({ ...own, gradient: gradients[i] }));
      adafactor().update(with_(fast), { learningRate: 0.1, step });
      for (const { param, gradient, state } of with_(reference)) {
        const float32 = precision(gradient, "float32");
        adafactorUpdate({ param: param, gradient: float32, state: state }, { learningRate: 0.1, step });
        float32.dispose();
      }
      tf.dispose(gradients);
      for (const [i, { param, state }] of fast.entries()) {
        expectSame(param, reference[i].param);
        for (const [slot, moment] of state) expectSame(moment, reference[i].state.get(slot)!);
      }
    }
    for (const { param, state } of [...fast, ...reference]) tf.dispose([param, ...state.values()]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("goes on from weights and moments alone, to the bit", () => {
    const copyOf = (variable: tf.Tensor): tf.Variable => tf.tidy(() => tf.variable(tf.add(variable, 0)));
    for (const [i, shape] of shapes.entries()) {
      const own = { param: tf.variable(waves(shape, i)), state: freshState(shape) };
      const gradients = [1, 2].map((seed) => waves(shape, 50 + seed));
      adafactor().update([{ ...own, gradient: gradients[0] }], { learningRate: 0.1, step: 0 });
      const slots = [...own.state].map(([slot, moment]): [string, tf.Variable] => [slot, copyOf(moment)]);
      const restored = { param: copyOf(own.param), state: new Map(slots) };
      for (const which of [own, restored])
        adafactor().update([{ ...which, gradient: gradients[1] }], { learningRate: 0.1, step: 1 });
      expect(tf.all(tf.equal(restored.param, own.param)).dataSync()[0]).toBe(1);
    }
  });

  it("makes the same of a gradient whose sums of squares are at hand", () => {
    const [experts, width, hidden] = [3, 128, 192];
    const [wi0, wi1] = [waves([experts, hidden, width], 1), waves([experts, hidden, width], 2)];
    const wo = waves([experts, width, hidden], 3);
    const slots = waves([experts, 8, width], 4) as tf.Tensor3D;
    // Expert 1 has no token, and so no gradient.
    const occupied = tf.tensor2d([[8], [0], [5]], undefined, "int32");
    const layer = (x: tf.Tensor, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
      expertFeedForward(x as tf.Tensor3D, { kind: "gated-gelu", wi0: a, wi1: b, wo: c }, undefined, occupied);
    const gradients = tf
      .grads(layer)([slots, wi0, wi1, wo], waves([experts, 8, width], 5))
      .slice(1);
    const plain = gradients.map((gradient) => tf.add(gradient, 0));
    const stepped = [gradients, plain].map((list) =>
      list.map((gradient, i) => {
        const param = tf.variable([wi0, wi1, wo][i]);
        adafactor().update([{ param, gradient, state: freshState(gradient.shape) }], { learningRate: 0.1, step: 0 });
        return param;
      }),
    );
    for (const [i, param] of stepped[0].entries()) expectSame(param, stepped[1][i]);
    const [known] = fastKernel("TorchSumOfSquares")!(Object.fromEntries(gradients.entries()));
    let sum = 0;
    for (const gradient of plain) for (const g of gradient.dataSync()) sum += g * g;
    expect(Math.abs(known.dataSync()[0] / sum - 1)).toBeLessThan(1e-6);
  });

  it("leaves alone who shared a parameter's data", () => {
    const initial = random([4, 6], 1);
    const param = tf.variable(initial);
    const column = tf.slice2d(param as tf.Tensor as tf.Tensor2D, [0, 2], [4, 1]);
    const before = [initial, column].map((tensor) => [...tensor.dataSync()]);
    adafactor().update([{ param, gradient: tf.ones([4, 6]), state: freshState([4, 6]) }], { learningRate: 1, step: 0 });
    expect([initial, column].map((tensor) => [...tensor.dataSync()])).toEqual(before);
    expect([...param.dataSync()]).not.toEqual(before[0]);
  });
});
