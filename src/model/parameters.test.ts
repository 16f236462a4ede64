import { beforeAll, describe, expect, it } from "vitest";
import { testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import type { ModelConfig } from "./config.js";
import { disposeParameters, initParameters, parameterShapes } from "./parameters.js";
import { preset, switchTwin } from "./presets.js";

const dense: ModelConfig = { ...preset("tiny"), vocabSize: 300 };
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

  it("draws a dense T5 from plain normals", () => {
    const params = initParameters(dense, 1);
    const values = Array.from(params.get("lm_head.weight")!.dataSync());
    expect(deviation(values) * 8).toBeCloseTo(1, 1);
    expect(Math.max(...values.map(Math.abs)) * 8).toBeGreaterThan(2);
    disposeParameters(params);
  });
});
