import { describe, expect, it } from "vitest";
import { countParameters, forwardFlops, publishedForwardFlops, stepFlops } from "./count.js";
import { type PresetName, preset, presetNames, switchTwin } from "./presets.js";

describe("parameter counts", () => {
  it.each([
    ["mt5-small", 300_176_768],
    ["mt5-base", 582_401_280],
    ["mt5-large", 1_229_581_312],
    ["mt5-xl", 3_742_619_648],
    ["mt5-xxl", 12_921_057_280],
  ] as const)("%s has exactly %i", (name, total) => {
    expect(countParameters(preset(name)).total).toBe(total);
  });

  it.each([
    ["mt5-small", 44.1e6],
    ["mt5-base", 198.2e6],
    ["mt5-large", 717.4e6],
    ["mt5-xl", 2.72e9],
    ["mt5-xxl", 10.87e9],
  ] as const)("%s has about %f outside its embeddings", (name, expected) => {
    const { total, embedding, activePerToken } = countParameters(preset(name));
    expect((total - embedding) / expected).toBeCloseTo(1, 2);
    expect(activePerToken).toBe(total - embedding);
  });

  // Switch paper, Table 9; Switch-XXL with the 128 experts that its 395B need. Switch-Large is printed as 26B, which the released
  // ReLU form (dFf 4096) has; with the table's own gated dFf 2816 it is 27.1B.
  it.each([
    ["t5-base", 222.9e6],
    ["t5-large", 739e6],
    ["t5-xxl", 11e9],
    ["switch-base", 7.41e9],
    ["switch-large", 27.1e9],
    ["switch-xxl", 394.7e9],
    ["switch-c", 1571e9],
    ["mswitch-base", 7.775e9],
  ] as const)("%s has about %f", (name, expected) => {
    expect(Math.abs(countParameters(preset(name)).total / expected - 1)).toBeLessThan(0.02);
  });

  it.each([
    [2, 639e6],
    [4, 752e6],
    [8, 979e6],
    [16, 1.432e9],
    [32, 2.338e9],
    [64, 4.15e9],
    [128, 7.775e9],
    [256, 15.02e9],
  ])("mSwitch-Base with %i experts has about %f", (experts, expected) => {
    const { total } = countParameters(switchTwin(preset("mt5-base"), { experts }));
    expect(Math.abs(total / expected - 1)).toBeLessThan(1e-3);
  });

  it("a further expert costs 4,718,592 parameters in each of 12 layers, and its row of the router", () => {
    const count = (experts: number): number => countParameters(switchTwin(preset("mt5-base"), { experts })).total;
    expect(count(9) - count(8)).toBe(12 * (4_718_592 + 768));
  });
});

describe("FLOPs", () => {
  it("counts every matrix product of a forward pass", () => {
    // One layer a stack: dModel 8, inner 4, dFf 16, vocabulary 10; 5 inputs, 3 targets.
    const small = { ...preset("tiny"), dModel: 8, dKv: 2, heads: 2, dFf: 16, vocabSize: 10 };
    const config = { ...small, encoderLayers: 1, decoderLayers: 1 };
    const matmul = (m: number, k: number, n: number): number => 2 * m * k * n;
    const attention = (queries: number, keys: number): number =>
      2 * matmul(queries, 8, 4) + 2 * matmul(keys, 8, 4) + 2 * 2 * matmul(queries, 2, keys);
    const feedForward = (tokens: number): number => 3 * matmul(tokens, 8, 16);
    const encoder = attention(5, 5) + feedForward(5);
    const decoder = attention(3, 3) + attention(3, 5) + feedForward(3);
    expect(forwardFlops(config, { inputs: 5, targets: 3 }).total).toBe(encoder + decoder + matmul(3, 8, 10));
  });

  // 512 inputs and 114 targets are T5's lengths.
  it.each([
    ["t5-base", 124e9, 124.6e9],
    ["t5-large", 425e9, 433e9],
    ["t5-xxl", 6.3e12, 6.26e12],
  ] as const)("%s takes the %f of Table 9 forward, counted as there", (name, published, derived) => {
    const flops = publishedForwardFlops(preset(name), { inputs: 512, targets: 114 });
    expect(Math.abs(flops / published - 1)).toBeLessThan(0.02);
    expect(Math.abs(flops / derived - 1)).toBeLessThan(0.001);
  });

  it("a Switch twin takes what its dense model takes, and its router", () => {
    const lengths = { inputs: 512, targets: 114 };
    const sparse = forwardFlops(preset("mswitch-base"), lengths);
    expect(sparse.total - sparse.router).toBe(forwardFlops(preset("mt5-base"), lengths).total);
    expect(sparse.router).toBe(2 * 768 * 128 * 6 * (512 + 114));
  });

  it("a training step takes three forward passes of each sequence", () => {
    const lengths = { inputs: 64, targets: 14 };
    const forward = forwardFlops(preset("tiny"), lengths).total;
    expect(stepFlops(preset("tiny"), 16, lengths).total).toBe(48 * forward);
  });
});

describe("presets", () => {
  it("are independent copies", () => {
    const changed = preset("tiny");
    changed.dModel = 1;
    expect(preset("tiny").dModel).not.toBe(1);
  });

  it("say the nearest name of one that is unknown", () => {
    expect(() => preset("mt5-bas")).toThrow(expect.objectContaining({ hint: "mt5-base", exitCode: 2 }));
  });

  it("are all whole", () => {
    for (const name of presetNames satisfies PresetName[])
      expect(countParameters(preset(name)).total).toBeGreaterThan(0);
  });
});
