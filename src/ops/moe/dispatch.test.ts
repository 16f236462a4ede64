import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { combine, combineReference, dispatch, dispatchReference } from "./dispatch.js";

/** [N] as [N, 1]. */
const column = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [-1, 1]);

describe.each(testBackends)("dispatch and combine on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  // 5 tokens, 6 slots; token 3 has none.
  const slot = (): tf.Tensor1D => tf.tensor1d([4, 0, 5, 6, 2], "int32");

  it("equal Mesh TensorFlow's products with the one-hot dispatch tensor", () => {
    const x = random([5, 3], 1) as tf.Tensor2D;
    const oneHot = tf.slice2d(tf.cast(tf.oneHot(slot(), 7), "float32") as tf.Tensor2D, [0, 0], [5, 6]);
    expectClose(dispatch(x, column(slot()), 6).dataSync(), tf.matMul(oneHot, x, true, false).dataSync());
    const y = random([6, 3], 2) as tf.Tensor2D;
    const gate = random([5], 3) as tf.Tensor1D;
    const expected = tf.mul(tf.matMul(oneHot, y), tf.expandDims(gate, 1));
    expectClose(combine(y, column(slot()), column(gate)).dataSync(), expected.dataSync());
  });

  it("with two slots a token: sums over both", () => {
    const slot_NK = tf.tensor2d([4, 1, 0, 6, 5, 3, 6, 6, 2, 6], [5, 2], "int32");
    const x = random([5, 3], 1) as tf.Tensor2D;
    const rows = tf.unstack(x).map((row) => [...row.dataSync()]);
    const expected = [rows[1], rows[0], rows[4], rows[2], rows[0], rows[2]].flat();
    expectClose(dispatch(x, slot_NK, 6).dataSync(), expected);
    expectGradients(
      (y, gate) => combine(y as tf.Tensor2D, slot_NK, gate as tf.Tensor2D),
      [random([6, 3], 2), random([5, 2], 3)],
    );
    expectGradients((y) => dispatch(y as tf.Tensor2D, slot_NK, 6), [x]);
  });

  it("have the right gradients", () => {
    expectGradients((x) => dispatch(x as tf.Tensor2D, column(slot()), 6), [random([5, 3], 1)]);
    const gated = (y: tf.Tensor, gate: tf.Tensor) => combine(y as tf.Tensor2D, column(slot()), column(gate));
    expectGradients(gated, [random([6, 3], 2), random([5], 3)]);
  });
});

describeFastPath("the fast paths of dispatch and combine", () => {
  // 300 tokens; every third has no slot, 400 slots of which half are empty.
  const slot = (): tf.Tensor1D =>
    tf.tensor1d(
      Array.from({ length: 300 }, (_, n) => (n % 3 === 0 ? 400 : (n * 7) % 400)),
      "int32",
    );

  it.each([[null], [[0]]])("are their references, bfloat16 inputs %j", (bfloat16) => {
    expectFast(
      (x) => dispatch(x as tf.Tensor2D, column(slot()), 400),
      (x) => dispatchReference(x as tf.Tensor2D, slot(), 400),
      [random([300, 33], 1)],
      bfloat16,
    );
    expectFast(
      (y, gate) => combine(y as tf.Tensor2D, column(slot()), column(gate)),
      (y, gate) => combineReference(y as tf.Tensor2D, slot(), gate as tf.Tensor1D),
      [random([400, 33], 2), random([300], 3)],
      bfloat16,
    );
  });
});
