import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { attention, causalMask, paddingMask } from "./attention.js";

describe.each(testBackends)("attention on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const [batch, queries, keys, width, heads, inner] = [2, 3, 4, 5, 2, 6];
  const inputs = (): tf.Tensor[] => [
    random([batch, queries, width], 1),
    random([batch, keys, width], 2),
    ...[3, 4, 5].map((seed) => random([inner, width], seed)),
    random([width, inner], 6),
    random([1, heads, queries, keys], 7),
  ];
  const run = (
    x: tf.Tensor,
    memory: tf.Tensor,
    q: tf.Tensor,
    k: tf.Tensor,
    v: tf.Tensor,
    o: tf.Tensor,
    bias: tf.Tensor,
  ) => attention(x as tf.Tensor3D, memory as tf.Tensor3D, { q, k, v, o }, heads, bias as tf.Tensor4D);

  it("is softmax(q·k + bias)·v head by head, without scaling", () => {
    const [x, memory, q, k, v, o, bias] = inputs();
    const product = (rows: number[][], weight: tf.Tensor): number[][] =>
      rows.map((row) => rowsOf(weight).map((out) => out.reduce((sum, value, i) => sum + value * row[i], 0)));
    const biases = bias.arraySync() as number[][][][];
    const expected: number[] = [];
    for (let b = 0; b < batch; b++) {
      const [xs, ms] = [x, memory].map((t) => (t.arraySync() as number[][][])[b]);
      const [qs, ks, vs] = [product(xs, q), product(ms, k), product(ms, v)];
      const joined = qs.map((query, t) => {
        const out: number[] = [];
        for (let h = 0; h < heads; h++) {
          const dims = [0, 1, 2].map((i) => h * 3 + i);
          const scores = ks.map((key, s) => dims.reduce((sum, i) => sum + query[i] * key[i], biases[0][h][t][s]));
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
    const hidden = paddingMask(
      tf.tensor2d([
        [1, 1, 1, 1],
        [1, 1, 0, 0],
      ]),
    );
    const full = run(x, memory, q, k, v, o, hidden).arraySync() as number[][][];
    const cut = run(x, tf.slice(memory, [0, 0, 0], [2, 2, width]), q, k, v, o, tf.zeros([1, 1, 1, 1]));
    expectClose(full[1].flat(), (cut.arraySync() as number[][][])[1].flat());
  });

  it("a causal query sees what is not after it", () => {
    const mask = causalMask(4).dataSync();
    const seen = Array.from(mask, (value) => (value === 0 ? 1 : 0));
    expect(seen).toEqual([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1]);
  });

  it("a row with no key at all stays a number", () => {
    const [x, memory, q, k, v, o] = inputs();
    const out = run(x, memory, q, k, v, o, paddingMask(tf.zeros([2, 4])));
    expect([...out.dataSync()].every(Number.isFinite)).toBe(true);
  });
});
