import { readFileSync } from "node:fs";
import type * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectGradients, random, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { relativePositionBias, relativePositionBucket } from "./relativePositionBias.js";

describe.each(testBackends)("relativePositionBias on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("has Transformers' bucket of every distance", () => {
    const path = new URL("../../eval/golden/relative_position_buckets.json", import.meta.url);
    const golden = JSON.parse(readFileSync(path, "utf8"));
    for (const direction of ["bidirectional", "causal"] as const) {
      const options = { bidirectional: direction === "bidirectional", buckets: 32, maxDistance: 128 };
      const ours = golden["relative_position(key-query)"].map((r: number) => relativePositionBucket(r, options));
      expect(ours).toEqual(golden[direction]);
    }
  });

  const options = { bidirectional: true, buckets: 32, maxDistance: 128 };

  it("holds each head's value for key − query", () => {
    const table = random([32, 2], 1) as tf.Tensor2D;
    const values = table.arraySync() as number[][];
    const bias = relativePositionBias(table, 20, 30, options);
    expect(bias.shape).toEqual([49, 2]);
    const all = bias.arraySync();
    for (let h = 0; h < 2; h++)
      for (let query = 0; query < 20; query++)
        for (let key = 0; key < 30; key++)
          expect(all[key - query + 19][h]).toBe(values[relativePositionBucket(key - query, options)][h]);
  });

  it("sums the gradient over all distances of a bucket", () => {
    expectGradients((table) => relativePositionBias(table as tf.Tensor2D, 5, 12, options), [random([32, 2], 1)]);
  });
});
