import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectClose, expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { linear, linearReference } from "./linear.js";

describe.each(testBackends)("linear on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("is x·Wᵀ over the last axis", () => {
    const x = random([2, 3, 4], 1);
    const w = random([5, 4], 2);
    const y = linear(x, w);
    expect(y.shape).toEqual([2, 3, 5]);
    const weights = rowsOf(w);
    const expected = rowsOf(tf.reshape(x, [6, 4])).flatMap((row) =>
      weights.map((out) => out.reduce((sum, value, i) => sum + value * row[i], 0)),
    );
    expectClose(y.dataSync(), expected);
  });

  it("has the right gradients", () => {
    expectGradients((x, w) => linear(x, w), [random([2, 3, 4], 1), random([5, 4], 2)]);
  });
});

describeFastPath("linear's fast path", () => {
  it("is the reference", () => {
    const inputs = [random([2, 17, 24], 1), random([53, 24], 2)];
    expectFast(linear, linearReference, inputs);
    expectFast(linear, linearReference, inputs, [0]);
  });
});
