import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
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
    expectGradients(residual, [x, y]);
  });
});

describeFastPath("residual's fast path", () => {
  it("is the sum, a bfloat16 term's too", () => {
    const inputs = [random([5, 7, 9], 1), random([5, 7, 9], 2)];
    expectFast(residual, tf.add, inputs);
    expectFast(residual, tf.add, inputs, [1]);
    expectFast(residual, tf.add, inputs, [0, 1]);
  });
});
