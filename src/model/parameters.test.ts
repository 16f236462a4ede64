import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { expectClose, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import type { ModelConfig } from "./config.js";
import { disposeParameters, initParameters, parameterShapes } from "./parameters.js";
import { preset, switchTwin } from "./presets.js";

const dense: ModelConfig = { ...preset("tiny"), heads: 4, dKv: 16, init: { scheme: "t5" }, vocabSize: 300 };
const sparse = switchTwin(dense, { experts: 8 });

function deviation(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length);
}

describe("parameterShapes", () => {
  it("names a Switch's weights as Transformers does, experts stacked", () => {
    const shapes = parameterShapes(sparse);
    expect(shapes.get("decoder.block.1.layer.2.mlp.experts.wi_0.weight")).toEqual([8, 128, 64]);
    expect(shapes.get("decoder.block.1.layer.2.mlp.experts.wo.weight")).toEqual([8, 64, 128]);
    expect(shapes.get("encoder.block.1.layer.1.mlp.router.classifier.weight")).toEqual([8, 64]);
    expect(shapes.get("encoder.block.0.layer.1.mlp.wi_1.weight")).toEqual([128, 64]);
    expect(shapes.get("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")).toEqual([32, 4]);
    expect(shapes.has("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight")).toBe(false);
  });
});

describe.each(testBackends)("initParameters on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  it("is a function of configuration and seed", () => {
    const [a, b, c] = [1, 1, 2].map((seed) => initParameters(dense, seed));
    const name = "encoder.block.0.layer.0.SelfAttention.k.weight";
    expect(a.get(name)?.dataSync()).toEqual(b.get(name)?.dataSync());
    expect(a.get(name)?.dataSync()).not.toEqual(c.get(name)?.dataSync());
    for (const params of [a, b, c]) disposeParameters(params);
  });

  it("draws a Switch at a tenth of the scale, cut at two deviations, and q the narrower by sqrt(dKv)", () => {
    const params = initParameters(sparse, 1);
    const values = (name: string): ArrayLike<number> => params.get(`${name}.weight`)!.dataSync();
    const sigma = Math.sqrt(0.1 / 64);
    const wi = Array.from(values("encoder.block.1.layer.1.mlp.experts.wi_0"));
    expect(Math.max(...wi.map(Math.abs))).toBeLessThanOrEqual(2 * sigma);
    // A normal cut at 2σ has a deviation of 0.880 σ.
    expect(deviation(wi) / (0.88 * sigma)).toBeCloseTo(1, 1);
    const attention = "decoder.block.1.layer.1.EncDecAttention";
    expect(deviation(values(`${attention}.q`)) / deviation(values(`${attention}.k`))).toBeCloseTo(1 / 4, 1);
    expect(deviation(values("shared"))).toBeCloseTo(1, 1);
    expect(deviation(values("encoder.block.1.layer.1.mlp.router.classifier")) / 0.02).toBeCloseTo(1, 0);
    expect(new Set(Array.from(values("encoder.final_layer_norm")))).toEqual(new Set([1]));
    disposeParameters(params);
  });

  it("starts cross-attention matched and the encoder local where the configuration says so, and draws all else as before", () => {
    const plain = initParameters(dense, 1);
    const init = { scheme: "t5", matchedCrossAttention: 2, encoderLocality: 0.5 } as const;
    const params = initParameters({ ...dense, init }, 1);
    const changed = [...params].filter(
      ([name, value]) => value.dataSync().join() !== plain.get(name)!.dataSync().join(),
    );
    const cross = [0, 1].map((block) => `decoder.block.${block}.layer.1.EncDecAttention`);
    const bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    expect(changed.map(([name]) => name).sort()).toEqual([...cross.map((name) => `${name}.q.weight`), bias].sort());
    for (const name of cross) {
      const [q, k] = ["q", "k"].map((part) => params.get(`${name}.${part}.weight`)!.dataSync());
      for (const i of [0, 100, 1000]) expect(q[i]).toBeCloseTo((2 * k[i]) / 4, 6);
    }
    // [32 buckets, 4 heads]: bucket 3 of either side, slopes 0.125 to 0.5; from 12 on all are equal.
    const values = params.get(bias)!.dataSync();
    expect(Array.from(values.subarray(12, 16))).toEqual([-0.375, -0.75, -1.125, -1.5]);
    expect(Array.from(values.subarray(12 + 64, 16 + 64))).toEqual([-0.375, -0.75, -1.125, -1.5]);
    expect([values[12 * 4 + 3], values[15 * 4 + 3]]).toEqual([-6, -6]);
    for (const each of [plain, params]) disposeParameters(each);
  });

  it.each([
    ["square", { ...dense, heads: 1, dKv: 64 }],
    ["tall and flat", { ...dense, heads: 1, dKv: 96 }],
  ])("starts attention orthogonal, as large as it would be drawn, where the configuration says so: %s", (_, config) => {
    const plain = initParameters(config, 1);
    const init = { scheme: "t5", orthogonalAttention: true } as const;
    const params = initParameters({ ...config, init }, 1);
    const changed = [...params].filter(([name, x]) => x.dataSync().join() !== plain.get(name)!.dataSync().join());
    const attention = [...params.keys()].filter((name) => /Attention\.[qkvo]\.weight$/.test(name));
    expect(changed.map(([name]) => name).sort()).toEqual(attention.sort());
    for (const name of attention) {
      const x = params.get(name)! as tf.Variable<tf.Rank.R2>;
      const [rows, columns] = x.shape;
      expect(deviation(x.dataSync()) / deviation(plain.get(name)!.dataSync())).toBeCloseTo(1, 5);
      const products = tf.matMul(x, x, rows > columns, rows <= columns);
      const size = Math.min(rows, columns);
      const scale = (deviation(x.dataSync()) ** 2 * rows * columns) / size;
      expectClose(tf.div(products, scale).dataSync(), tf.eye(size).dataSync(), 1e-5);
    }
    for (const each of [plain, params]) disposeParameters(each);
  });

  it("draws a dense T5 from plain normals", () => {
    const params = initParameters(dense, 1);
    const values = Array.from(params.get("lm_head.weight")!.dataSync());
    expect(deviation(values) * 8).toBeCloseTo(1, 1);
    expect(Math.max(...values.map(Math.abs)) * 8).toBeGreaterThan(2);
    disposeParameters(params);
  });
});
