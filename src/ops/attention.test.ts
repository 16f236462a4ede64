import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { type AttentionBias, attention, attentionReference } from "./attention.js";

describe.each(testBackends)("attention on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const [batch, queries, keys, width, heads, inner] = [2, 3, 4, 5, 2, 6];
  const inputs = (): tf.Tensor[] => [
    random([batch, queries, width], 1),
    random([batch, keys, width], 2),
    ...[3, 4, 5].map((seed) => random([inner, width], seed)),
    random([width, inner], 6),
    random([queries + keys - 1, heads], 7),
  ];
  const run = (
    x: tf.Tensor,
    memory: tf.Tensor,
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    o: tf.Tensor,
    position: tf.Tensor,
    more: AttentionBias = {},
  ) => {
    const bias = { position: position as tf.Tensor2D, ...more };
    return attention(x as tf.Tensor3D, memory as tf.Tensor3D, { q, k, v, o }, heads, bias);
  };
  const nothing = () => tf.zeros([queries + keys - 1, heads]);

  it("is softmax(q·k + bias)·v head by head, without scaling", () => {
    const [x, memory, q, k, v, o, bias] = inputs();
    const product = (rows: number[][], weight: tf.Tensor): number[][] =>
      rows.map((row) => rowsOf(weight).map((out) => out.reduce((sum, value, i) => sum + value * row[i], 0)));
    const biases = bias.arraySync() as number[][];
    const expected: number[] = [];
    for (let b = 0; b < batch; b++) {
      const [xs, ms] = [x, memory].map((t) => (t.arraySync() as number[][][])[b]);
      const [qs, ks, vs] = [product(xs, q), product(ms, k), product(ms, v)];
      const joined = qs.map((query, t) => {
        const out: number[] = [];
        for (let h = 0; h < heads; h++) {
          const dims = [0, 1, 2].map((i) => h * 3 + i);
          const scores = ks.map((key, s) =>
            dims.reduce((sum, i) => sum + query[i] * key[i], biases[s - t + queries - 1][h]),
          );
          const exps = scores.map(Math.exp);
          const total = exps.reduce((sum, value) => sum + value, 0);
          for (const i of dims) out.push(exps.reduce((sum, e, s) => sum + (e / total) * vs[s][i], 0));
        }
        return out;
      });
      expected.push(...product(joined, o).flat());
    }
    expectClose(run(...(inputs() as Parameters<typeof run>)).dataSync(), expected);
  });

  it("has the right gradients, the bias's summed over the batch", () => {
    const small = inputs().map((t) => tf.mul(t, 0.5));
    expectGradients((...all) => run(...(all as Parameters<typeof run>)), small);
  });

  it("masks give hidden keys no weight", () => {
    const [x, memory, q, k, v, o] = inputs();
    const real = tf.tensor2d([
      [1, 1, 1, 1],
      [1, 1, 0, 0],
    ]);
    const full = run(x, memory, q, k, v, o, nothing(), { real }).arraySync() as number[][][];
    const cut = run(x, tf.slice(memory, [0, 0, 0], [2, 2, width]), q, k, v, o, tf.zeros([queries + 1, heads]));
    expectClose(full[1].flat(), (cut.arraySync() as number[][][])[1].flat());
  });

  it("a causal query sees what is not after it", () => {
    const [, memory, q, k, v, o] = inputs();
    const whole = run(memory, memory, q, k, v, o, tf.zeros([7, heads]), { causal: true }).arraySync() as number[][][];
    for (let seen = 1; seen <= 4; seen++) {
      const start = tf.slice(memory, [0, 0, 0], [2, seen, width]);
      const last = tf.slice(memory, [0, seen - 1, 0], [2, 1, width]);
      const cut = run(last, start, q, k, v, o, tf.zeros([seen, heads])).arraySync() as number[][][];
      expectClose(
        whole.flatMap((rows) => rows[seen - 1]),
        cut.flatMap((rows) => rows[0]),
      );
    }
  });

  it("a row with no key at all stays a number", () => {
    const [x, memory, q, k, v, o] = inputs();
    const out = run(x, memory, q, k, v, o, nothing(), { real: tf.zeros([2, 4]) });
    expect([...out.dataSync()].every(Number.isFinite)).toBe(true);
  });
});

describeFastPath("attention's fast path", () => {
  type Three = tf.Tensor3D;
  // Several blocks of queries, and keys that fill no vector. Weights that give scores of a trained size, about 4: what bfloat16
  // rounds off in q and k moves a softmax in proportion to its scores.
  const [batch, width, heads] = [2, 24, 3];
  const usual = { length: 150, keys: 37, headWidth: 16 };
  const weights = (headWidth: number) => {
    const inner = heads * headWidth;
    const shapes = [
      [inner, width],
      [inner, width],
      [inner, width],
      [width, inner],
    ];
    return shapes.map((shape, i) => tf.tidy(() => tf.mul(random(shape, 3 + i), 0.4 / Math.sqrt(Math.sqrt(headWidth)))));
  };
  const real = (size: number) => {
    const values = Array.from({ length: batch * size }, (_, i) => (i % 7 === 3 ? 0 : 1));
    return tf.tensor2d(values, [batch, size]);
  };

  const compare = (cross: boolean, bias: AttentionBias, withPosition: boolean, sizes = usual, rate = 0): void => {
    const { length, keys, headWidth } = sizes;
    const run =
      (op: typeof attention) =>
      (...inputs: tf.Tensor[]): tf.Tensor => {
        const rest = [...inputs];
        const query = rest.shift() as Three;
        const memory = cross ? (rest.shift() as Three) : query;
        const [q, k, v, o, position] = rest;
        const all = withPosition ? { ...bias, position: position as tf.Tensor2D } : bias;
        const step = tf.tensor1d([5], "int32");
        const dropout = rate > 0 ? { rate, key: { seed: 3, place: "probs", step } } : undefined;
        return op(query, memory, { q, k, v, o }, heads, all, dropout);
      };
    const inputs = [
      random([batch, length, width], 1),
      ...(cross ? [random([batch, keys, width], 2)] : []),
      ...weights(headWidth),
      ...(withPosition ? [random([length + (cross ? keys : length) - 1, heads], 7)] : []),
    ];
    expectFast(run(attention), run(attentionReference), inputs);
    expectFast(run(attention), run(attentionReference), inputs, cross ? [0, 1] : [0]);
  };

  it("is the reference within a padded sequence", () => compare(false, { real: real(usual.length) }, true));
  it("is the reference within a causal sequence", () => compare(false, { causal: true }, true));
  it("is the reference across sequences", () => compare(true, { real: real(usual.keys) }, false));
  it("is the reference across sequences with a bias by distance", () => compare(true, {}, true));
  it("is the reference where no key is real", () => compare(true, { real: tf.zeros([batch, usual.keys]) }, false));
  // More queries than are added up at once, more keys than are looked at at once, and heads that fill no panel.
  it.each([true, false])("is the reference within a long sequence, causal: %s", (causal) =>
    compare(false, { causal }, true, { length: 301, keys: 0, headWidth: 40 }),
  );
  it("is the reference where probabilities are dropped", () => {
    compare(false, { real: real(usual.length) }, true, usual, 0.3);
    compare(false, { causal: true }, true, { length: 301, keys: 0, headWidth: 40 }, 0.3);
    compare(true, { real: real(usual.keys) }, false, usual, 0.3);
    compare(true, { real: real(64) }, false, { length: 33, keys: 64, headWidth: 64 }, 0.3);
  });
  // mT5's, which have kernels of their own on CUDA; more rows than a tile has.
  it("is the reference with heads of 64", () => {
    const sizes = { length: 70, keys: 70, headWidth: 64 };
    const mask = tf.tensor2d(
      Array.from({ length: batch * 70 }, (_, i) => (i % 70 < 60 ? 1 : 0)),
      [batch, 70],
    );
    compare(false, { real: mask }, true, sizes);
    compare(false, { causal: true }, true, sizes);
    compare(true, { real: mask }, false, { ...sizes, length: 5 });
  });
});
