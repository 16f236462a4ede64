import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { gatherRows, mulConstant, scatterRows } from "./rows.js";

describe.each(testBackends)("rows on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("scatter sums rows of the same index and leaves the rest 0", () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
    const sums = scatterRows(x, tf.tensor1d([2, 0, 2], "int32"), 4);
    expect([...sums.dataSync()]).toEqual([3, 4, 0, 0, 6, 8, 0, 0]);
  });

  it("gather is scatter's transpose: ⟨gather t, x⟩ = ⟨t, scatter x⟩", () => {
    const index = tf.tensor1d([1, 1, 4, 0], "int32");
    const table = random([5, 3], 1) as tf.Tensor2D;
    const x = random([4, 3], 2) as tf.Tensor2D;
    const left = tf.sum(tf.mul(gatherRows(table, index), x)).dataSync();
    expectClose(left, tf.sum(tf.mul(table, scatterRows(x, index, 5))).dataSync());
  });

  it("a constant factor passes a gradient on and takes none, even where it was computed from the same input", () => {
    const x = random([3, 2], 1);
    const gradient = tf.grad((input: tf.Tensor) => mulConstant(input, tf.square(input)))(x);
    expectClose(gradient.dataSync(), tf.square(x).dataSync());
    const factor = random([3, 1], 2);
    expectGradients((input) => mulConstant(input, factor), [x]);
  });
});
