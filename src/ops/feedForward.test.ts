import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { type FeedForwardWeights, feedForward, feedForwardReference, gatedGelu } from "./feedForward.js";

describe.each(testBackends)("feedForward on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  const product = (rows: number[][], weight: number[][]): number[][] =>
    rows.map((row) => weight.map((out) => out.reduce((sum, value, i) => sum + value * row[i], 0)));
  const gelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

  it("is wo(relu(wi x))", () => {
    const [x, wi, wo] = [random([3, 4], 1), random([6, 4], 2), random([4, 6], 3)];
    const hidden = product(rowsOf(x), rowsOf(wi)).map((row) => row.map((value) => Math.max(value, 0)));
    expectClose(feedForward(x, { kind: "relu", wi, wo }).dataSync(), product(hidden, rowsOf(wo)).flat());
  });

  it("is wo(gelu(wi_0 x) ⊙ wi_1 x) where gated", () => {
    const [x, wi0, wi1, wo] = [random([3, 4], 1), random([6, 4], 2), random([6, 4], 3), random([4, 6], 4)];
    const factor = product(rowsOf(x), rowsOf(wi1));
    const hidden = product(rowsOf(x), rowsOf(wi0)).map((row, i) => row.map((value, j) => gelu(value) * factor[i][j]));
    expectClose(feedForward(x, { kind: "gated-gelu", wi0, wi1, wo }).dataSync(), product(hidden, rowsOf(wo)).flat());
  });

  it("has the right gradients", () => {
    const relu = (x: tf.Tensor, wi: tf.Tensor, wo: tf.Tensor): tf.Tensor => feedForward(x, { kind: "relu", wi, wo });
    expectGradients(relu, [random([3, 4], 5), random([6, 4], 6), random([4, 6], 7)]);
    expectGradients(gatedGelu, [random([3, 5], 1), random([3, 5], 2)]);
  });

  it("stays finite and exact far out, where the gate is 0 or the identity", () => {
    const gate = tf.tensor1d([-60, -10, 10, 60]);
    const one = tf.onesLike(gate);
    expectClose(gatedGelu(gate, one).dataSync(), [0, 0, 10, 60]);
    expectClose(
      tf
        .grad((g: tf.Tensor) => gatedGelu(g, one))(gate)
        .dataSync(),
      [0, 0, 1, 1],
    );
  });
});

describeFastPath("feedForward's fast path", () => {
  const small = (shape: number[], seed: number) => tf.tidy(() => tf.mul(random(shape, seed), 0.2));
  const compare = (weightsOf: (matrices: tf.Tensor[]) => FeedForwardWeights, count: number, rate = 0): void => {
    const run =
      (op: typeof feedForward) =>
      (x: tf.Tensor, ...matrices: tf.Tensor[]) =>
        op(x, weightsOf(matrices), rate > 0 ? { rate, key: keyAt(tf.tensor1d([5], "int32")) } : undefined);
    const matrices = Array.from({ length: count }, (_, i) => small([53, 24], i + 2));
    const inputs = [random([2, 17, 24], 1), ...matrices, small([24, 53], 9)];
    expectFast(run(feedForward), run(feedForwardReference), inputs);
    expectFast(run(feedForward), run(feedForwardReference), inputs, [0]);
  };

  const keyAt = (step: tf.Tensor1D) => ({ seed: 3, place: "hidden", step });

  it("is the reference where entries of the activation are dropped", () => {
    compare(([wi, wo]) => ({ kind: "relu", wi, wo }), 1, 0.3);
    compare(([wi0, wi1, wo]) => ({ kind: "gated-gelu", wi0, wi1, wo }), 2, 0.3);
  });
  it("is the reference with ReLU", () => compare(([wi, wo]) => ({ kind: "relu", wi, wo }), 1));
  it("is the reference where gated", () => compare(([wi0, wi1, wo]) => ({ kind: "gated-gelu", wi0, wi1, wo }), 2));
});
