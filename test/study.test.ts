import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { randomStream } from "../src/base/random.js";
import type { StudyResults } from "../src/study/studyResults.js";
import { writeTinyPipeline } from "./pretrainRun.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "bin/run.js");

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

test("from nothing but its files: datasets, then models to start from, then the runs; another study takes what is there", async () => {
  const tasks = join(folder, "tasks", "copy", "en");
  mkdirSync(tasks, { recursive: true });
  const pairs = (from: number): string =>
    Array.from(
      { length: 20 },
      (_, i) => `${JSON.stringify({ inputs: `copy ${from + i}`, targets: `${from + i}` })}\n`,
    ).join("");
  writeFileSync(join(tasks, "train.jsonl"), pairs(100));
  writeFileSync(join(tasks, "validation.jsonl"), pairs(200));
  const finetune = join(folder, "finetune.yaml");
  const stream = { batchSize: 2, inputLength: 12, targetLength: 12, packing: true };
  const evaluation = { every: 2, examplesPerLanguage: 4 };
  const logs = { logEvery: 1, backend: "wasm" };
  writeFileSync(
    finetune,
    stringify({
      dataset: "none",
      run: "none",
      objective: "pairs",
      init: { from: "none" },
      stream,
      steps: 2,
      evaluation,
      ...logs,
    }),
  );
  const keys = {
    base: finetune,
    shared: join(folder, "shared"),
    datasets: {
      text: { source: join(root, "data/sample"), vocab: join(root, "vocab/sample.model"), languages: ["af", "am"] },
      unused: { source: "nowhere", vocab: "none.model" },
      pairs: { source: join(folder, "tasks"), vocab: "dataset:text", pairs: true, tasks: ["copy"] },
    },
    models: { start: { base, set: { dataset: "dataset:text", steps: 2, "evaluation.every": 2 } } },
    set: { dataset: "dataset:pairs" },
    variants: {
      sparse: { "init.from": "model:start" },
      dense: { "init.from": "model:start", "model.switch": null, "model.dropout": 0 },
    },
    seeds: [1],
  };
  const file = writeStudyFile("stages", keys);
  // Two at once: one makes the datasets, the other waits for it.
  const [plan, another] = await Promise.all([0, 1].map(() => start(file, "--plan", "--json").ended));
  expect([plan.code, another.code], plan.stderr + another.stderr).toEqual([0, 0]);
  const { variants } = (JSON.parse(plan.stdout) as { plan: { variants: { variant: string; model: string }[] } }).plan;
  expect(variants.map(({ variant, model }) => [variant, model])).toEqual([
    ["start", "2 experts"],
    ["sparse", "2 experts"],
    ["dense", "dense"],
  ]);
  expect(existsSync(join(folder, "shared", "runs"))).toBe(false);
  const { code, stderr } = await start(file).ended;
  expect(code, stderr).toBe(0);
  const results = JSON.parse(report("stages")[0]) as StudyResults;
  expect(results.missing).toEqual([]);
  expect(results.taskMeans.map(({ task, metric, languages }) => [task, metric, languages])).toEqual([
    ["copy", "exactMatch", 1],
    ["copy", "tokenAccuracy", 1],
  ]);
  const tags = readFileSync(join(folder, "stages", "figures", "copy-exactMatch.svg"), "utf8").match(/<[^!>][^>]*>/g)!;
  for (const tag of tags) expect(tag).toMatch(/^<\/?[\w:-]+(\s+[\w:-]+="[^"]*")*\s*\/?>$/);
  expect(report("stages")[1]).toContain("figures/copy-tokenAccuracy.svg");

  const other = { ...keys, variants: { dense: keys.variants.dense, more: { ...keys.variants.sparse, steps: 3 } } };
  const second = await start(writeStudyFile("second", other)).ended;
  expect(second.code, second.stderr).toBe(0);
  const trained = second.stderr.split("\n").filter((line) => /^\$ mswitch (pretrain|finetune)/.test(line));
  expect(trained.map((line) => /runs\/(\w+)/.exec(line)?.[1])).toEqual(["more"]);

  // A published task's files become pairs first.
  const published = join(folder, "published");
  mkdirSync(published);
  const news = (from: number): string =>
    `category\theadline\ttext\n${Array.from({ length: 8 }, (_, i) => `sports\tgame ${from + i}\twon\n`).join("")}`;
  writeFileSync(join(published, "swa-train.tsv"), news(0));
  writeFileSync(join(published, "swa-dev.tsv"), news(100));
  const topics = { source: published, vocab: "dataset:text", pairs: "masakhanews" };
  const taken = { ...keys, datasets: { ...keys.datasets, pairs: topics } };
  const third = await start(writeStudyFile("third", { ...taken, shared: join(folder, "third") }), "--plan").ended;
  expect(third.code, third.stderr).toBe(0);
  expect(existsSync(join(folder, "third", "datasets", "pairs", "dataset.json"))).toBe(true);

  const given = await start(file, "--out", join(folder, "given"), "--set", "datasets.text=nowhere", "--json").ended;
  expect(given.code).not.toBe(0);
  expect((JSON.parse(given.stdout) as { error: { code: string } }).error.code).toBe("study-dataset-failed");
  for (const [set, where] of [
    ["set.dataset=dataset:texts", "dataset texts"],
    ["variants.sparse={init.from: model:begin}", "model begin"],
  ]) {
    const end = await start(file, "--set", set, "--json").ended;
    expect([end.code, (JSON.parse(end.stdout) as { error: { code: string; message: string } }).error]).toMatchObject([
      2,
      { code: "study-invalid", message: expect.stringContaining(where) },
    ]);
  }
});

test("a task says for which run of another task it waits", async () => {
  const models = { first: { base, set: { steps: 2 } } };
  const file = writeStudyFile("waiting", { models, variants: { a: { "init.from": "model:first" } }, seeds: [1] });
  const { child, ended } = start(file, "--task", "1/2");
  let text = "";
  await new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.stderr?.on("data", (data: Buffer) => {
      text += data.toString();
      if (text.includes("a, seed 1 waits for")) resolve();
    });
    setTimeout(resolve, 30_000).unref();
  });
  child.kill("SIGTERM");
  expect((await ended).stderr).toMatch(/a, seed 1 waits for .*first-.*, which is another task's/);
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
