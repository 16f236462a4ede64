import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../src/base/log.js";
import { parseMetrics } from "../src/run/runFiles.js";
import { evaluateRun } from "../src/train/evaluateRun.js";
import { type PretrainOptions, type PretrainResult, pretrain } from "../src/train/pretrain.js";
import { writeDiskDataset } from "./diskDataset.js";
import { resultHashes, writeTinyPipeline } from "./pretrainRun.js";

let folder: string;
let home: string;
let pipeline: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-move-"));
  home = join(folder, "home");
  mkdirSync(home);
  pipeline = await writeTinyPipeline(home, { name: "tiny", checkpoints: { every: 2, keepLast: 9 } });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const train = (file: string, options: Partial<PretrainOptions> = {}): Promise<PretrainResult> =>
  pretrain(file, { log: silentLog, signal: new AbortController().signal, ...options });

const config = (run: string): string => join(run, "config.yaml");

describe("a run's own configuration", () => {
  test("goes on where the run lies: renamed, copied alone, moved with its dataset", async () => {
    await train(pipeline, { run: join(home, "unbroken") });
    const expected = resultHashes(join(home, "unbroken"));
    const run = join(home, "run");
    await train(pipeline, { sets: ["steps=4"] });
    const steps = ["steps=6"];

    const copy = join(folder, "copy", "elsewhere");
    cpSync(run, copy, { recursive: true });
    const before = resultHashes(run);
    expect(await train(config(copy), { sets: steps })).toMatchObject({ run: copy, step: 6 });
    expect(resultHashes(copy)).toEqual(expected);
    expect(resultHashes(run)).toEqual(before);

    const renamed = join(home, "renamed");
    renameSync(run, renamed);
    const away = join(folder, "away");
    cpSync(home, away, { recursive: true });
    expect(await train(config(renamed), { sets: steps })).toMatchObject({ run: renamed, step: 6 });
    expect(resultHashes(renamed)).toEqual(expected);

    rmSync(home, { recursive: true });
    const moved = join(away, "renamed");
    expect(await train(config(moved), { sets: steps })).toMatchObject({ run: moved, step: 6 });
    expect(resultHashes(moved)).toEqual(expected);
    const options = { checkpoint: "4", log: silentLog };
    expect((await evaluateRun(moved, options)).point.languages).toEqual(
      JSON.parse(readFileSync(join(moved, "eval/step-00000004.json"), "utf8")).languages,
    );
  });

  test("is evaluated on another dataset, and without capacity, into no file of the run", async () => {
    await train(pipeline, { sets: ["model.switch.capacity={train: 1.25, evaluation: 0.5}"] });
    const run = join(home, "run");
    const own = await evaluateRun(run, { checkpoint: "2", log: silentLog });
    expect(own.written).toEqual([join(run, "eval/step-00000002.json")]);
    rmSync(own.written[0]);
    const dropless = await evaluateRun(run, { checkpoint: "2", capacity: false, log: silentLog });
    expect(dropless.point.routing.map(({ fractionDropped }) => fractionDropped)).toEqual([0, 0]);
    expect(own.point.routing.some(({ fractionDropped }) => fractionDropped > 0)).toBe(true);
    await writeDiskDataset(join(folder, "third"), { aa: { train: 50, validation: 90 } });
    const elsewhere = await evaluateRun(run, { checkpoint: "2", dataset: join(folder, "third"), log: silentLog });
    expect(Object.keys(elsewhere.point.languages)).toEqual(["aa"]);
    expect([...dropless.written, ...elsewhere.written]).toEqual([]);
    await writeDiskDataset(join(folder, "none"), { aa: { train: 50 } });
    await expect(
      evaluateRun(run, { checkpoint: "2", dataset: join(folder, "none"), log: silentLog }),
    ).rejects.toMatchObject({ code: "no-validation-text" });
  });
});

describe("--from-step", () => {
  test("without other values does the same steps, and leaves the first run as it is", async () => {
    const run = join(home, "run");
    await train(pipeline);
    const before = resultHashes(run);
    const branch = join(home, "branch");
    expect(await train(config(run), { run: branch, fromStep: "2" })).toMatchObject({ run: branch, step: 6 });
    expect(resultHashes(run)).toEqual(before);
    const weights = (of: string): Buffer => readFileSync(join(of, "checkpoints/step-00000006/model.safetensors"));
    expect(weights(branch)).toEqual(weights(run));
    const { lines } = parseMetrics(readFileSync(join(branch, "metrics.jsonl"), "utf8"));
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    for (let i = 1; i < 6; i++) expect(lines[i].trainSeconds).toBeGreaterThan(lines[i - 1].trainSeconds!);
    expect(Object.keys(resultHashes(branch)).filter((name) => name.startsWith("eval/"))).toHaveLength(3);
  });

  test.each([
    ["a lower learning rate", { sets: ["optimizer.learningRate.base=0.001"] }],
    ["another seed", { sets: ["seed=5"] }],
    ["other batches", { skipBatches: 7 }],
  ] as const)("with %s does other steps from there on, and goes on as itself", async (_, changed) => {
    const run = join(home, "run");
    await train(pipeline);
    const branch = join(home, "branch");
    await train(config(run), { run: branch, fromStep: "4", ...changed });
    const file = (of: string, step: number): Buffer =>
      readFileSync(join(of, `checkpoints/step-0000000${step}/model.safetensors`));
    expect(file(branch, 4)).toEqual(file(run, 4));
    expect(file(branch, 6)).not.toEqual(file(run, 6));
    const done = file(branch, 6);
    rmSync(join(branch, "checkpoints/step-00000006"), { recursive: true });
    expect(await train(config(branch))).toMatchObject({ run: branch, step: 6 });
    expect(file(branch, 6)).toEqual(done);
    // The first run's command is another run's, and so is that of a branch from elsewhere.
    await expect(train(pipeline, { run: branch, ...changed })).rejects.toMatchObject({ code: "run-mismatch" });
    await expect(train(config(run), { run: branch, fromStep: "2", ...changed })).rejects.toMatchObject({
      code: "run-mismatch",
    });
  });

  test("of another model, of no run, or into the run itself is refused", async () => {
    const run = join(home, "run");
    await train(pipeline);
    await expect(train(config(run), { fromStep: "4" })).rejects.toMatchObject({ code: "run-directory-in-use" });
    await expect(train(pipeline, { run: join(home, "b"), fromStep: "3" })).rejects.toMatchObject({
      code: "checkpoint-not-found",
    });
    const wider = { run: join(home, "wider"), fromStep: "4", sets: ["model.dFf=32"] };
    await expect(train(config(run), wider)).rejects.toMatchObject({ code: "checkpoint-model-mismatch" });
    const adamw = "optimizer={algorithm: adamw, learningRate: {schedule: constant, base: 0.001}}";
    await expect(train(config(run), { ...wider, sets: [adamw] })).rejects.toMatchObject({
      code: "optimizer-state-mismatch",
      why: expect.stringMatching(/adafactor.*adamw/),
    });
    // Nothing was written: the folder is there for the run that is meant.
    expect(await train(config(run), { ...wider, sets: ["seed=2"] })).toMatchObject({ step: 6 });
    rmSync(join(run, "run.json"));
    await expect(train(config(run), { run: join(home, "b"), fromStep: "4" })).rejects.toMatchObject({
      code: "not-a-run",
    });
  });

  test("a branch that lost its first checkpoint says so and is made whole by the same command", async () => {
    const run = join(home, "run");
    await train(pipeline);
    const branch = { run: join(home, "branch"), fromStep: "4" };
    await train(config(run), branch);
    rmSync(join(branch.run, "checkpoints"), { recursive: true });
    await expect(train(config(branch.run))).rejects.toMatchObject({ code: "branch-incomplete" });
    expect(await train(config(run), branch)).toMatchObject({ step: 6 });
  });
});

test("a dataset without validation text trains, and is never evaluated", async () => {
  const dataset = join(folder, "none");
  await writeDiskDataset(dataset, { aa: { train: 2000 } });
  const run = join(folder, "blind");
  expect(await train(pipeline, { run, dataset })).toMatchObject({ step: 6, interrupted: false, evaluation: null });
  const card = readFileSync(join(run, "checkpoints/step-00000006/README.md"), "utf8");
  expect(card).toContain("has not been evaluated");
  expect(card).not.toContain("NaN");
  writeFileSync(join(run, "metrics.jsonl"), "");
  expect(await train(config(run), { sets: ["steps=8"] })).toMatchObject({ step: 8, evaluation: null });
});
