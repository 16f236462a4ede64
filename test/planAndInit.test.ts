import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";
import type { RunPlan } from "../src/train/probe/planRun.js";
import { writeTinyPipeline } from "./pretrainRun.js";

let folder: string;
let pipeline: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-plan-"));
  pipeline = await writeTinyPipeline(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function mswitch(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(packageRoot, "bin", "run.js"), ...args],
      { cwd: folder },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe("pretrain --plan", () => {
  test("says time, memory, disk and tokens an expert, and leaves nothing behind", async () => {
    const { code, stdout, stderr } = await mswitch("pretrain", pipeline, "--plan", "--json");
    expect(code, stderr).toBe(0);
    const plan = JSON.parse(stdout) as RunPlan;
    // Before step 1, after 4 and after 6.
    expect(plan.time).toMatchObject({ probedRows: 4, evaluations: 3 });
    expect(plan.time.total).toBeCloseTo(6 * plan.time.step + 3 * plan.time.evaluation, 6);
    expect(plan.memory.largestBatch).toBeGreaterThan(4);
    expect(plan.memory.needed).toBeLessThan(plan.memory.limit);
    // 6 steps, a checkpoint every 2, all 3 kept.
    expect(plan.disk.checkpoints).toBe(4);
    expect(plan.disk.checkpoint).toBeGreaterThan(4 * plan.training.parameters);
    expect(plan.tokensPerExpert).toEqual({ encoder: 32, decoder: expect.any(Number) });
    expect(existsSync(join(folder, "run"))).toBe(false);
  });

  test("its lines fit 80 columns but for the backend's", async () => {
    const { stdout } = await mswitch("pretrain", pipeline, "--plan");
    expect(stdout).toMatch(/^plan of run in .*; nothing was trained$/m);
    expect(stdout).toMatch(/largest batch that fits: about [\d,]+ examples/);
  });

  test("a batch that does not fit is refused, and the largest is named", async () => {
    const sets = ["--set", "stream.batchSize=4000000", "--set", "model.dModel=512"];
    for (const plan of [["--plan"], []]) {
      const { code, stdout } = await mswitch("pretrain", pipeline, ...sets, ...plan, "--json");
      expect(code).toBe(2);
      const { error } = JSON.parse(stdout);
      expect(error.code).toBe("batch-too-large");
      expect(error.message).toMatch(/memory/);
      const [, largest, accumulate] = /^about (\d+) examples fit.*batch\.accumulate: (\d+)$/.exec(error.hint)!;
      expect(Number(largest)).toBeLessThan(4_000_000);
      expect(4_000_000 / Number(accumulate)).toBeLessThanOrEqual(Number(largest));
    }
  });
});

describe("init", () => {
  test("writes a run file that is planned and trained as it stands", async () => {
    const init = ["init", "--dataset", "dataset", "--time", "60s", "--backend", "wasm"];
    const { code, stdout, stderr } = await mswitch(...init, "--json");
    expect(code, stderr).toBe(0);
    const result = JSON.parse(stdout);
    // 5,000 tokens are too few for all sizes: the smallest is taken, and the reason said.
    expect(result).toMatchObject({ file: "run.yaml", size: "64 wide, 2 + 2 layers", experts: 8 });
    expect(result.limit).toMatch(/the text is too short/);
    const text = readFileSync(join(folder, "run.yaml"), "utf8");
    expect(text).toMatch(/^# yaml-language-server: \$schema=\S+run\.schema\.json\n/);
    expect(text.split("\n").filter((line) => line.startsWith("#")).length).toBeGreaterThan(12);

    const short = [
      "--set",
      "steps=1",
      "--set",
      "evaluation.every=1",
      "--set",
      "stream.batchSize=2",
      "--backend",
      "cpu",
    ];
    for (const dense of [[], ["--set", "model.switch=null"]]) {
      const run = ["--run", `init-${dense.length}`];
      const trained = await mswitch("pretrain", "run.yaml", ...short, ...dense, ...run, "--json");
      expect(trained.code, trained.stderr).toBe(0);
      expect(JSON.parse(trained.stdout)).toMatchObject({ step: 1, name: run[1] });
    }

    const again = await mswitch(...init, "--json");
    expect(again.code).toBe(2);
    expect(JSON.parse(again.stdout).error.code).toBe("output-unusable");
  });

  test("a time that is none, and a dataset that is not there, are wrong use", async () => {
    const time = await mswitch("init", "--dataset", "dataset", "--out", "b.yaml", "--time", "soon", "--json");
    expect([time.code, JSON.parse(time.stdout).error.code]).toEqual([2, "flag-invalid"]);
    const dataset = await mswitch("init", "--dataset", "nowhere", "--out", "b.yaml", "--json");
    expect([dataset.code, JSON.parse(dataset.stdout).error.code]).toEqual([2, "dataset-not-found"]);
  });
});

test("stopAfter ends a process with a checkpoint, and the same command goes on", async () => {
  const sets = ["steps=100000", "checkpoints.every=100000", "logEvery=1000", "stopAfter=1.5s"];
  const args = ["pretrain", pipeline, "--run", "stopped", ...sets.flatMap((set) => ["--set", set]), "--json"];
  const first = await mswitch(...args);
  expect(first.code, first.stderr).toBe(130);
  expect(JSON.parse(first.stdout)).toMatchObject({ interrupted: true, checkpoint: expect.stringContaining("step-") });
  const { step } = JSON.parse(first.stdout);
  const second = await mswitch(...args, "--set", "stopAfter=3s");
  expect(JSON.parse(second.stdout).step).toBeGreaterThan(step);
  const wrong = await mswitch(...args, "--set", "stopAfter=later");
  expect([wrong.code, JSON.parse(wrong.stdout).error.code]).toEqual([2, "config-invalid"]);
});
