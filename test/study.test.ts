import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { randomStream } from "../src/base/random.js";
import type { StudyResults } from "../src/study/studyResults.js";
import { writeTinyPipeline } from "./pretrainRun.js";

const bin = fileURLToPath(new URL("../bin/run.js", import.meta.url));

let folder: string;
let base: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-study-"));
  base = await writeTinyPipeline(folder, { steps: 12 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function writeStudyFile(name: string, keys: Record<string, unknown> = {}): string {
  const file = join(folder, `${name}.yaml`);
  const study = {
    title: "Dense and sparse",
    base,
    out: join(folder, name),
    set: { "evaluation.every": 6 },
    variants: { dense: { "model.switch": null }, sparse: {} },
    seeds: [1, 2],
    ...keys,
  };
  writeFileSync(file, stringify(study));
  return file;
}

interface Started {
  child: ChildProcess;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function start(...args: string[]): Started {
  const child = spawn(process.execPath, [bin, "study", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => {
    output.stdout += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    output.stderr += data.toString();
  });
  return { child, ended: once(child, "close").then(([code]: (number | null)[]) => ({ code, ...output })) };
}

const report = (name: string): string[] =>
  ["results.json", "results.md", "results.csv"].map((file) => readFileSync(join(folder, name, file), "utf8"));

test("a study trains its runs and compares them in pairs of seeds; two tasks give the same as one", async () => {
  const { code, stderr } = await start(writeStudyFile("one")).ended;
  expect(code, stderr).toBe(0);
  const results = JSON.parse(report("one")[0]) as StudyResults;
  expect(results.missing).toEqual([]);
  expect(results.runs.map(({ variant, seed }) => [variant, seed])).toEqual([
    ["dense", 1],
    ["sparse", 1],
    ["dense", 2],
    ["sparse", 2],
  ]);
  const [dense, sparse] = results.variants;
  expect([dense.finished, dense.gain, dense.speedup]).toEqual([2, null, null]);
  expect(sparse.gain!.mean).toBeCloseTo(sparse.quality!.mean - dense.quality!.mean, 4);
  expect(sparse.gain!.interval).not.toBeNull();
  expect(results.runs[0].curve.map(({ step }) => step)).toEqual([0, 6, 12]);

  expect(readFileSync(join(folder, "one", "times.md"), "utf8")).toMatch(/^\| sparse \| \S*\d/m);

  const two = writeStudyFile("two");
  const ends = await Promise.all(["0/2", "1/2"].map((task) => start(two, "--task", task).ended));
  expect(ends.map((end) => end.code)).toEqual([0, 0]);
  // Whoever ends last sees all runs; the other may have written its report with some missing after that.
  await start(two).ended;
  expect(report("two")).toEqual(report("one"));
});

test("20 kills at random moments end with the same report", async () => {
  const file = writeStudyFile("killed");
  const random = randomStream(5, "kills");
  let kills = 0;
  while (kills < 20) {
    const { child, ended } = start(file);
    await Promise.race([sleep(300 + 2700 * random.float()), ended]);
    if (child.exitCode !== null) {
      // It was faster: from the start again.
      rmSync(join(folder, "killed"), { recursive: true, force: true });
      continue;
    }
    child.kill("SIGKILL");
    await ended;
    kills++;
  }
  const { code, stderr } = await start(file).ended;
  expect(code, stderr).toBe(0);
  expect(report("killed")).toEqual(report("one"));
});

test("a run that diverges is a result, one that fails is named and the others go on", async () => {
  const variants = {
    good: {},
    diverging: { "optimizer.learningRate.base": 1e30 },
  };
  const { code, stderr } = await start(writeStudyFile("diverged", { variants, seeds: [1] })).ended;
  expect(code, stderr).toBe(0);
  const { variants: rows, missing } = JSON.parse(report("diverged")[0]) as StudyResults;
  expect(rows.map(({ finished, diverged }) => [finished, diverged])).toEqual([
    [1, 0],
    [0, 1],
  ]);
  expect(missing).toEqual([]);
});

test("--plan counts runs and FLOPs and trains nothing; a wrong key is found before anything is trained", async () => {
  const file = writeStudyFile("planned", { grid: { "model.dFf": [16, 32] } });
  const { code, stdout } = await start(file, "--plan", "--json").ended;
  expect(code).toBe(0);
  const { plan } = JSON.parse(stdout) as { plan: { runs: number; variants: { variant: string; flops: number }[] } };
  expect(plan.runs).toBe(8);
  expect(plan.variants.map(({ variant }) => variant)).toEqual([
    "dense, dFf 16",
    "dense, dFf 32",
    "sparse, dFf 16",
    "sparse, dFf 32",
  ]);
  expect(plan.variants[1].flops).toBeGreaterThan(plan.variants[0].flops);
  for (const keys of [{ grid: { "model.dFff": [1] } }, { baseline: "none" }, { seeds: [1, 1] }]) {
    const end = await start(writeStudyFile("wrong", keys), "--json").ended;
    expect(end.code).toBe(2);
    expect(() => readFileSync(join(folder, "wrong", "runs"))).toThrow(/ENOENT/);
  }
});
