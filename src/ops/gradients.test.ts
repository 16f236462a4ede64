import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";

describe.each(testBackends)("gradients of kernels on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("add and multiply, broadcasting either way", () => {
    for (const [a, b] of [
      [
        [2, 3],
        [2, 3],
      ],
      [[2, 3], [3]],
      [
        [2, 1],
        [2, 3],
      ],
      [
        [4, 1, 3],
        [2, 1],
      ],
    ]) {
      expectGradients((x, y) => tf.add(x, y), [random(a, 1), random(b, 2)]);
      expectGradients((x, y) => tf.mul(x, y), [random(a, 1), random(b, 2)]);
    }
  });

  it("matrix products, transposed or not, in batches or not", () => {
    for (const stack of [[], [2], [2, 3]]) {
      for (const [transposeA, transposeB] of [
        [false, false],
        [false, true],
        [true, false],
        [true, true],
      ]) {
        const a = random([...stack, ...(transposeA ? [4, 3] : [3, 4])], 1);
        const b = random([...stack, ...(transposeB ? [5, 4] : [4, 5])], 2);
        expectGradients((x, y) => tf.matMul(x, y, transposeA, transposeB), [a, b]);
      }
    }
  });

  it("softmax, relu, sums and changes of shape", () => {
    const x = random([2, 3, 4], 1);
    expectGradients((t) => tf.softmax(t), [x]);
    expectGradients((t) => tf.relu(t), [tf.add(x, tf.mul(tf.sign(x), 0.1))]);
    expectGradients((t) => tf.sum(t), [x]);
    expectGradients((t) => tf.sum(t, [0, 2]), [x]);
    expectGradients((t) => tf.sum(t, 1, true), [x]);
    expectGradients((t) => tf.reshape(t, [6, 4]), [x]);
    expectGradients((t) => tf.expandDims(t, 1), [x]);
    expectGradients((t) => tf.transpose(t, [2, 0, 1]), [x]);
    const parts = (t: tf.Tensor) => tf.split(t, [1, 3], 2);
    expectGradients((t) => tf.mul(parts(t)[0], parts(t)[1]), [x]);
    expectGradients((t) => parts(t)[1], [x]);
  });
});
