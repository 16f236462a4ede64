import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { describeFastPath, expectFast } from "../../test/helpers/fastPaths.js";
import { expectGradients, random, rowsOf, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { embedding, embeddingReference } from "./embedding.js";

describe.each(testBackends)("embedding on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("looks rows up", () => {
    const table = random([5, 3], 1) as tf.Tensor2D;
    const rows = rowsOf(table);
    const out = embedding(table, tf.tensor2d([[4, 0, 4]], undefined, "int32"));
    expect(out.arraySync()).toEqual([[rows[4], rows[0], rows[4]]]);
  });

  it("sums the gradient of an id that occurs more than once", () => {
    const ids = tf.tensor2d([4, 0, 4, 1], [2, 2], "int32");
    expectGradients((table) => embedding(table as tf.Tensor2D, ids), [random([5, 3], 1)]);
  });
});

describeFastPath("embedding's fast path", () => {
  it.each([3, 200])("is the reference on rows of %d", (width) => {
    const ids = tf.tensor2d([4, 0, 4, 1, 4, 2], [2, 3], "int32");
    const reference = (table: tf.Tensor) => embeddingReference(table as tf.Tensor2D, ids);
    const table = random([5, width], 1);
    expectFast((t) => embedding(t as tf.Tensor2D, ids), reference, [table]);
    expectFast((t) => embedding(t as tf.Tensor2D, ids, "bfloat16"), reference, [table], []);
  });
});
