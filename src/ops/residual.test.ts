import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { noiseReference } from "./random/noise.js";
import { residual } from "./residual.js";

describe.each(testBackends)("residual on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("is the sum, and hands its gradient to both", () => {
    const [x, y] = [random([2, 3], 1), random([2, 3], 2)];
    const [a, b] = [x.dataSync(), y.dataSync()];
    expectClose(
      residual(x, y).dataSync(),
      a.map((value, i) => value + b[i]),
    );
    expectGradients((a, b) => residual(a, b), [x, y]);
  });
});

describeFastPath("residual's fast path", () => {
  it("is the sum, a bfloat16 term's too", () => {
    const inputs = [random([5, 7, 9], 1), random([5, 7, 9], 2)];
    const plain = (x: tf.Tensor, y: tf.Tensor): tf.Tensor => residual(x, y);
    expectFast(plain, tf.add, inputs);
    expectFast(plain, tf.add, inputs, [1]);
    expectFast(plain, tf.add, inputs, [0, 1]);
  });

  it("is the sum of what is not dropped", () => {
    const drop = { rate: 0.3, key: { seed: 3, place: "residual", step: tf.tensor1d([5], "int32") } };
    const reference = (x: tf.Tensor, y: tf.Tensor): tf.Tensor =>
      tf.add(x, tf.mul(y, noiseReference(y.shape, { kind: "dropout", rate: drop.rate }, drop.key)));
    // The second size is a multiple of the vectors', and more than is drawn at a time.
    for (const shape of [
      [5, 7, 9],
      [3, 50, 32],
    ]) {
      const inputs = [random(shape, 1), random(shape, 2)];
      expectFast((x, y) => residual(x, y, drop), reference, inputs);
      expectFast((x, y) => residual(x, y, drop, "bfloat16"), reference, inputs, [1]);
    }
  });
});
