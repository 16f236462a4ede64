import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../backends/loadBackend.js";
import type { ModelConfig } from "./config.js";
import { logits } from "./exampleLogProbs.js";
import { disposeParameters, initParameters } from "./parameters.js";
import { parametersFrom } from "./parametersFrom.js";
import { preset, switchTwin } from "./presets.js";

beforeAll(async () => {
  await loadBackend("wasm");
});

const dense: ModelConfig = {
  ...preset("tiny"),
  ...{ vocabSize: 64, dModel: 16, dKv: 4, dFf: 32, heads: 2, encoderLayers: 2, decoderLayers: 2 },
};
/** Without padding: a Switch layer leaves it out, and a dense one does not. */
const batch = () => ({
  inputs: tf.tensor2d([5, 9, 12, 1, 7, 30, 22, 1], [2, 4], "int32"),
  targets: tf.tensor2d([8, 3, 1, 40, 17, 1], [2, 3], "int32"),
});
const largest = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];

describe("a model from another's parameters", () => {
  it("dense into an MoE whose gates add up to 1: the dense model's logits at once", () => {
    const sparse = switchTwin(dense, { experts: 4, every: 1, topK: 2, group: "batch" });
    const source = initParameters(dense, 1);
    const expected = logits(dense, source, batch());
    const { params, fresh, upcycled } = parametersFrom(source, sparse, 2);
    expect(largest(logits(sparse, params, batch()), expected)).toBeLessThan(1e-5);
    expect(fresh.every((name) => name.endsWith(".router.classifier.weight"))).toBe(true);
    expect([fresh.length, upcycled.length]).toEqual([4, 12]);
    disposeParameters(params);
  });

  it("dense into Switch: each sparse layer gives the dense one's output times the router's probability", () => {
    // One expert has the probability 1.
    const sparse = switchTwin(dense, { experts: 1, every: 1, group: "batch" });
    const source = initParameters(dense, 1);
    const expected = logits(dense, source, batch());
    const { params } = parametersFrom(source, sparse, 2);
    expect(largest(logits(sparse, params, batch()), expected)).toBeLessThan(1e-5);
    disposeParameters(params);
    // With more it is another model: what docs/fine-tuning.md says.
    const four = switchTwin(dense, { experts: 4, every: 1, group: "batch" });
    const other = parametersFrom(initParameters(dense, 1), four, 2);
    expect(largest(logits(four, other.params, batch()), expected)).toBeGreaterThan(1e-3);
    const wi = other.params.get("encoder.block.0.layer.1.mlp.experts.wi_0.weight")!;
    const [first, last] = [tf.slice(wi, 0, 1), tf.slice(wi, 3, 1)];
    expect(largest(first, last)).toBe(0);
    disposeParameters(other.params);
  });

  it("Switch into dense: all but the experts", () => {
    const sparse = switchTwin(dense, { experts: 4, group: "batch" });
    const source = initParameters(sparse, 3);
    const attention = tf.clone(source.get("decoder.block.1.layer.1.EncDecAttention.k.weight")!);
    const { params, fresh } = parametersFrom(source, dense, 4);
    expect(largest(params.get("decoder.block.1.layer.1.EncDecAttention.k.weight")!, attention)).toBe(0);
    expect(fresh.map((name) => name.replace(/\.wi?_?[01o].*/, ""))).toEqual([
      ...Array(3).fill("encoder.block.1.layer.1.DenseReluDense"),
      ...Array(3).fill("decoder.block.1.layer.2.DenseReluDense"),
    ]);
    disposeParameters(params);
  });

  it("with a shared expert: it begins as the dense layer, and a dense layer as it", () => {
    const sparse = switchTwin(dense, { experts: 4, group: "batch", sharedExpert: true });
    const layer = "decoder.block.1.layer.2";
    const source = initParameters(dense, 1);
    const wo = tf.clone(source.get(`${layer}.DenseReluDense.wo.weight`)!);
    const { params, fresh } = parametersFrom(source, sparse, 2);
    expect(largest(params.get(`${layer}.mlp.shared_expert.wo.weight`)!, wo)).toBe(0);
    expect(fresh.every((name) => name.includes(".router."))).toBe(true);
    const back = parametersFrom(params, dense, 3);
    expect(back.fresh).toEqual([]);
    expect(largest(back.params.get(`${layer}.DenseReluDense.wo.weight`)!, wo)).toBe(0);
    disposeParameters(back.params);
  });

  it("with a vocabulary that grew: known rows where they are now, new ones drawn", () => {
    const grown = { ...dense, vocabSize: 68 };
    const source = initParameters(dense, 1);
    const before = source.get("shared.weight")!.arraySync() as number[][];
    const rows = Int32Array.from({ length: 68 }, (_, id) => (id < 60 ? id : id < 64 ? -1 : id - 4));
    const { params } = parametersFrom(source, grown, 2, rows);
    const after = params.get("shared.weight")!.arraySync() as number[][];
    expect(after[59]).toEqual(before[59]);
    expect(after[67]).toEqual(before[63]);
    const drawn = initParameters(grown, 2).get("shared.weight")!.arraySync() as number[][];
    expect(after[61]).toEqual(drawn[61]);
    disposeParameters(params);
  });

  it("refuses another shape", () => {
    const source = initParameters(dense, 1);
    expect(() => parametersFrom(source, { ...dense, dFf: 64 }, 1)).toThrow(
      expect.objectContaining({ code: "init-model-mismatch" }),
    );
  });
});
