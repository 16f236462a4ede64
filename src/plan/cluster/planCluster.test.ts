import { describe, expect, test } from "vitest";
import { fittingMeshes, type Mesh, meshFaults, meshSize, meshText, parseMesh } from "../../distributed/mesh.js";
import { countParameters, stepFlops } from "../../model/count.js";
import { preset } from "../../model/presets.js";
import { hardwareNames, readHardware } from "./hardware.js";
import { bestMesh, type ClusterRun, planCluster } from "./planCluster.js";
import { rankParameters } from "./rankParameters.js";
import { collectiveSeconds } from "./traffic.js";

const lengths = { inputs: 512, targets: 114 };
const adafactor = { algorithm: "adafactor", minFactoredSize: 128 };
const run = (name: string, batchSize = 1024, keys = {}): ClusterRun => ({
  model: { ...preset(name), precision: "selective", ...keys },
  ...{ batchSize, lengths, steps: 1000, optimizer: adafactor },
});
const h100 = readHardware("h100");

describe("what a rank holds", () => {
  test.each<[string, Mesh]>([
    ["switch-base", { data: 2, expert: 16, model: 4 }],
    ["mt5-base", { data: 8, expert: 1, model: 2 }],
    ["switch-c", { data: 1, expert: 2048, model: 1 }],
  ])("%s: ranks that differ in expert and model hold each parameter once", (name, mesh) => {
    const model = preset(name);
    const { dense, experts } = rankParameters(model, mesh, adafactor);
    const whole = rankParameters(model, { data: 1, expert: 1, model: 1 }, adafactor);
    expect(whole.dense + whole.experts).toBe(countParameters(model).total);
    expect(experts * mesh.expert * mesh.model).toBe(whole.experts);
    // Norms, routers and position biases lie on every rank.
    expect(dense * mesh.model).toBeGreaterThanOrEqual(whole.dense);
    expect(dense * mesh.model).toBeLessThan(whole.dense * 1.1);
  });

  test("AdamW keeps two numbers for each parameter", () => {
    const { dense, optimizer } = rankParameters(preset("mt5-base"), parseMesh("data=4"), {
      ...adafactor,
      algorithm: "adamw",
    });
    expect(optimizer).toBe(2 * dense);
  });

  test("ranks that share the optimizer's state have an equal part of it, and send their new weights", () => {
    const adamw = { ...run("switch-base"), optimizer: { algorithm: "adamw" } };
    const [all, shared] = ["data=2,expert=4", "data=2,expert=4,zero=1"].map((text) =>
      planCluster(adamw, parseMesh(text), h100),
    );
    const { dense, experts } = all.parameters.rank;
    // Experts are shared by two, all else by eight.
    expect(shared.memory.optimizer / (4 * 2 * (dense / 8 + experts / 2))).toBeCloseTo(1, 2);
    expect(shared.memory.weights).toBe(all.memory.weights);
    const bytes = ({ traffic }: typeof all, kind: string): number =>
      traffic.filter((one) => one.kind === kind).reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    const figures = bytes(shared, "all-reduce");
    expect(bytes(shared, "reduce")).toBe(bytes(shared, "broadcast"));
    expect((figures + 2 * bytes(shared, "reduce")) / bytes(all, "all-reduce")).toBeCloseTo(1, 6);
  });
});

describe("traffic", () => {
  test("a ring all-reduce sends 2(n − 1)/n of the gradients; experts' gradients stay where they are", () => {
    const { traffic, parameters } = planCluster(run("switch-base"), parseMesh("expert=32"), h100);
    const [dense, ...rest] = traffic;
    expect(dense.sentBytes).toBeCloseTo(((2 * 31) / 32) * 4 * parameters.rank.dense, 0);
    expect(rest.map(({ what }) => what)).not.toContain("gradients of experts");
    const exchange = rest.find(({ what }) => what.includes("encoder"))!;
    // 32 sequences of 512 tokens at 1.25 places of 768 bfloat16 numbers; six sparse layers, four ways each.
    expect(exchange.tensorBytes).toBe(32 * 512 * 1.25 * 768 * 2);
    expect(exchange.times).toBe(24);
    expect(exchange.sentBytes).toBeCloseTo((exchange.tensorBytes * 31) / 32, 6);
  });

  test("one process sends nothing", () => {
    expect(planCluster(run("switch-base"), parseMesh("data=1"), h100).traffic).toEqual([]);
  });

  test("a collective within a node takes its links, one beyond it the network", () => {
    const one = { what: "", kind: "all-reduce", times: 1, tensorBytes: 0, sentBytes: 1e9, overlaps: false } as const;
    expect(collectiveSeconds({ ...one, ranks: 8, stride: 1 }, h100)).toBeCloseTo(1 / 450, 9);
    expect(collectiveSeconds({ ...one, ranks: 4, stride: 4 }, h100)).toBeCloseTo(1 / 50, 9);
  });
});

describe("time", () => {
  test("is that of the products at the device's rate, and what is not hidden behind them", () => {
    const { seconds, flopsPerStep } = planCluster(run("mt5-base"), parseMesh("data=8"), h100);
    expect(flopsPerStep).toBe(stepFlops(preset("mt5-base"), 1024, lengths).total);
    expect(seconds.compute).toBeCloseTo(flopsPerStep / 8 / (0.5 * 989e12), 9);
    // Losses and figures, some bytes.
    expect(seconds.exposed).toBeCloseTo(0, 9);
    expect(seconds.step).toBeCloseTo(seconds.compute + seconds.update, 9);
  });

  test("the paper's dense models on 32 TPU v3 cores come out within a fifth of Table 1", () => {
    const tpu = readHardware("tpu-v3");
    for (const [name, published] of [
      ["t5-base", 1600],
      ["t5-large", 470],
    ] as const) {
      const { seconds } = planCluster(run(name), parseMesh("data=32"), tpu);
      expect(1024 / seconds.step / published).toBeGreaterThan(0.8);
      expect(1024 / seconds.step / published).toBeLessThan(1.2);
    }
  });
});

describe("meshes", () => {
  test("faults are named, and those that fit are found", () => {
    const { model } = run("switch-base");
    expect(meshFaults({ data: 3, expert: 1, model: 1 }, model, 1024)).toHaveLength(1);
    expect(meshFaults({ data: 1, expert: 1, model: 5 }, model, 1024)).toHaveLength(3);
    expect(meshFaults({ data: 1, expert: 2, model: 1 }, preset("mt5-base"), 1024)).toHaveLength(1);
    for (const mesh of fittingMeshes(64, model, 1024)) {
      expect(meshSize(mesh)).toBe(64);
      expect(meshFaults(mesh, model, 1024)).toEqual([]);
    }
    expect(fittingMeshes(64, model, 1024).length).toBeGreaterThan(5);
    expect(meshText(parseMesh("data=2,zero=1"))).toBe("data=2,expert=1,model=1,zero=1");
    expect(fittingMeshes(8, model, 1024, 1).every(({ zero }) => zero === 1)).toBe(true);
    expect(() => parseMesh("rows=2")).toThrow(expect.objectContaining({ code: "mesh-not-valid" }));
    expect(() => parseMesh("data=2,data=4")).toThrow(expect.objectContaining({ code: "mesh-not-valid" }));
  });

  test("the best one fits and no other that fits is faster", () => {
    const big = run("switch-xxl", 2048);
    expect(bestMesh(big, 8, h100)).toBeUndefined();
    const best = bestMesh(big, 256, h100)!;
    expect(best.fits).toBe(true);
    for (const mesh of fittingMeshes(256, big.model, 2048)) {
      const plan = planCluster(big, mesh, h100);
      if (plan.fits) expect(plan.seconds.step).toBeGreaterThanOrEqual(best.seconds.step);
    }
  });
});

test("every hardware file is one, and an unknown name is refused", () => {
  expect(hardwareNames()).toEqual(["a100", "h100", "h200", "tpu-v3", "zen4-2vcpu"]);
  for (const name of hardwareNames()) expect(readHardware(name).memoryGiB).toBeGreaterThan(0);
  expect(() => readHardware("h1000")).toThrow(expect.objectContaining({ code: "unknown-hardware" }));
  expect(() => readHardware("package.json")).toThrow(expect.objectContaining({ code: "hardware-not-readable" }));
});
