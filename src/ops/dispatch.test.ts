import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { combine, dispatch } from "./dispatch.js";

describe.each(testBackends)("dispatch and combine on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  // 5 tokens, 6 slots; token 3 has none.
  const slot = (): tf.Tensor1D => tf.tensor1d([4, 0, 5, 6, 2], "int32");

  it("equal Mesh TensorFlow's products with the one-hot dispatch tensor", () => {
    const x = random([5, 3], 1) as tf.Tensor2D;
    const oneHot = tf.slice2d(tf.cast(tf.oneHot(slot(), 7), "float32") as tf.Tensor2D, [0, 0], [5, 6]);
    expectClose(dispatch(x, slot(), 6).dataSync(), tf.matMul(oneHot, x, true, false).dataSync());
    const y = random([6, 3], 2) as tf.Tensor2D;
    expectClose(combine(y, slot()).dataSync(), tf.matMul(oneHot, y).dataSync());
  });

  it("have the right gradients", () => {
    expectGradients((x) => dispatch(x as tf.Tensor2D, slot(), 6), [random([5, 3], 1)]);
    expectGradients((y) => combine(y as tf.Tensor2D, slot()), [random([6, 3], 2)]);
  });
});
