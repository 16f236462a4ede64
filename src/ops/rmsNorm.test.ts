import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { rmsNorm, rmsNormOfStream, rmsNormReference } from "./rmsNorm.js";

describe.each(testBackends)("rmsNorm on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("divides by the root mean square and multiplies by the weight", () => {
    const x = random([2, 3, 4], 1);
    const weight = random([4], 2);
    const w = weight.dataSync();
    const expected = rowsOf(tf.reshape(x, [6, 4])).flatMap((row) => {
      const rms = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / 4 + 1e-6);
      return row.map((value, i) => (value / rms) * w[i]);
    });
    expectClose(rmsNorm(x, weight, 1e-6).dataSync(), expected);
  });

  it("has the right gradients, with an ε that counts too", () => {
    expectGradients((x, w) => rmsNorm(x, w, 1e-6), [random([2, 3, 4], 1), random([4], 2)]);
    expectGradients((x, w) => rmsNorm(x, w, 0.5), [random([3, 4], 3), random([4], 4)]);
  });

  it("adds the gradient of a stream that goes on", () => {
    const sublayer = (x: tf.Tensor, w: tf.Tensor) => {
      const { normal, stream } = rmsNormOfStream(x, w, 1e-6);
      return tf.add(tf.mul(stream, 3), tf.mul(normal, normal));
    };
    expectGradients(sublayer, [random([2, 3, 4], 1), random([4], 2)]);
    // One of the two may be all that is used.
    expectGradients((x, w) => rmsNormOfStream(x, w, 1e-6).normal, [random([3, 4], 3), random([4], 4)]);
  });
});

describeFastPath("rmsNorm's fast path", () => {
  const reference = (x: tf.Tensor, w: tf.Tensor) => rmsNormReference(x, w, 1e-6);

  it.each([
    [3, 5],
    [2, 7, 48],
    [130, 513],
  ])("is the reference on %j", (...shape: number[]) => {
    const inputs = [random(shape, 1), random(shape.slice(-1), 2)];
    expectFast((x, w) => rmsNorm(x, w, 1e-6), reference, inputs);
    expectFast((x, w) => rmsNorm(x, w, 1e-6, "bfloat16"), reference, inputs, []);
    expectFast((x, w) => rmsNorm(x, w, 1e-6, "bfloat16"), reference, inputs, [0]);
    const sublayer = (norm: (x: tf.Tensor, w: tf.Tensor) => { normal: tf.Tensor; stream: tf.Tensor }) => {
      return (x: tf.Tensor, w: tf.Tensor) => {
        const { normal, stream } = norm(x, w);
        return tf.add(stream, tf.mul(normal, normal));
      };
    };
    const referenceSublayer = sublayer((x, w) => ({ normal: reference(x, w), stream: x }));
    expectFast(
      sublayer((x, w) => rmsNormOfStream(x, w, 1e-6)),
      referenceSublayer,
      inputs,
    );
    expectFast(
      sublayer((x, w) => rmsNormOfStream(x, w, 1e-6, "bfloat16")),
      referenceSublayer,
      inputs,
      [],
    );
  });
});
