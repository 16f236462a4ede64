import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { MswitchError } from "../src/base/errors.js";
import { silentLog } from "../src/base/log.js";
import { randomStream } from "../src/base/random.js";
import { parseMetrics } from "../src/run/runFiles.js";
import { type PretrainResult, pretrain } from "../src/train/pretrain.js";
import { writeDiskDataset } from "./diskDataset.js";
import { resultHashes, startPretrain, writeTinyPipeline } from "./pretrainRun.js";

// Two dozen processes one after the other: half a minute where nothing else runs, and more where something does.
describe("interrupted runs", { timeout: 300_000 }, () => {
  const keys = { steps: 30, evaluation: { every: 8, examplesPerLanguage: 2 } };
  let folder: string;
  let pipeline: string;
  let expected: Record<string, string>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-pretrain-"));
    pipeline = await writeTinyPipeline(folder, keys);
    const run = join(folder, "unbroken");
    const { code, stderr } = await startPretrain([pipeline, "--run", run]).ended;
    expect(code, stderr).toBe(0);
    expected = resultHashes(run);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("the unbroken run left what it should", () => {
    const names = Object.keys(expected);
    expect(names.filter((name) => name.startsWith("eval/")).sort()).toEqual(
      [0, 8, 16, 24, 30].map((step) => `eval/step-000000${String(step).padStart(2, "0")}.json`),
    );
    const checkpoints = new Set(
      names.filter((name) => name.startsWith("checkpoints/")).map((name) => name.split("/")[1]),
    );
    expect([...checkpoints].sort()).toEqual(["step-00000026", "step-00000028", "step-00000030"]);
  });

  test("killed at 20 random moments and started again, a run ends with the same bytes", async () => {
    const run = join(folder, "killed");
    const seed = Date.now();
    const random = randomStream(seed, "kills");
    const lived: number[] = [];
    for (let kill = 0; kill < 20; kill++) {
      const process = startPretrain([pipeline, "--run", run]);
      // From before the first line (still loading) to a few steps on, then anywhere in a step, evaluation or checkpoint.
      const line = random.integer(15);
      if (line > 0) await process.line(line);
      await sleep(random.float() * (line > 0 ? 60 : 700));
      process.child.kill("SIGKILL");
      lived.push((await process.ended).stderr.split("\n").length - 1);
    }
    const { code, stderr } = await startPretrain([pipeline, "--run", run]).ended;
    const context = `seed ${seed}, lines before each kill ${lived}, last process:\n${stderr}`;
    expect(code, context).toBe(0);
    expect(resultHashes(run), context).toEqual(expected);
    const leftovers = readdirSync(run, { recursive: true, encoding: "utf8" }).filter((name) =>
      /tmp-|\.lock/.test(name),
    );
    expect(leftovers, context).toEqual([]);

    const { lines: metrics, damaged } = parseMetrics(readFileSync(join(run, "metrics.jsonl"), "utf8"));
    expect(damaged).toEqual([]);
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    for (let i = 1; i < 30; i++) expect(metrics[i].trainSeconds).toBeGreaterThan(metrics[i - 1].trainSeconds!);
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s ends with a complete checkpoint, and the run goes on exactly",
    async (signal) => {
      const run = join(folder, signal);
      // A checkpoint of the interrupted step, whatever the pipeline says.
      const args = [pipeline, "--run", run, "--set", "checkpoints.every=1000", "--set", "logEvery=1000", "--json"];
      const process = startPretrain(args);
      await process.line(8);
      process.child.kill(signal);
      const { code, stdout, stderr } = await process.ended;
      expect(code, stderr).toBe(130);
      const result = JSON.parse(stdout) as PretrainResult;
      expect(result.interrupted).toBe(true);
      expect(result.step).toBeLessThan(30);
      expect(existsSync(join(result.checkpoint!, "complete.json"))).toBe(true);
      // Its time is known exactly, although the pipeline did not ask for a line here.
      const last = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n").at(-1)!;
      expect(JSON.parse(last).step).toBe(result.step);
      expect((await startPretrain([pipeline, "--run", run]).ended).code).toBe(0);
      expect(resultHashes(run)).toEqual(expected);
    },
  );
});

describe("bad input", () => {
  let folder: string;
  let pipeline: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-pretrain-"));
    pipeline = await writeTinyPipeline(folder);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const run = (...sets: string[]): Promise<PretrainResult> =>
    pretrain(pipeline, { sets, log: silentLog, signal: new AbortController().signal });

  async function failure(work: Promise<unknown>): Promise<MswitchError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MswitchError);
    return error as MswitchError;
  }

  test("a wrong type and an unknown key are named with their lines, and nothing is written", async () => {
    const text = readFileSync(pipeline, "utf8");
    writeFileSync(pipeline, text.replace("steps: 6", "steps: six").replace("batchSize:", "batchsize:"));
    const error = await failure(run());
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain('steps is "six"');
    expect(error.message).toMatch(/pipeline\.yaml:\d+:\d+: unknown key stream\.batchsize \(did you mean batchSize\?\)/);
    expect(existsSync(join(folder, "run"))).toBe(false);
  });

  test("a batch that cannot fit is refused before anything is allocated", async () => {
    const error = await failure(run("stream.batchSize=300000"));
    expect(error).toMatchObject({ code: "batch-too-large", message: expect.stringContaining("GB") });
    expect((await failure(run("stream.batchSize=1000000000"))).exitCode).toBe(2);
    const experts = await failure(run("model.switch.experts=65536", "model.dFf=100000", "model.dModel=4096"));
    expect(experts).toMatchObject({ code: "batch-too-large", message: expect.stringContaining("PB") });
    expect(existsSync(join(folder, "run"))).toBe(false);
  });

  test("a model that is no model is refused", async () => {
    expect((await failure(run("model.preset=tiney"))).message).toContain("(did you mean tiny?)");
    expect((await failure(run("model.switch.every=7"))).exitCode).toBe(2);
    expect((await failure(run("model.switch.experts=null"))).exitCode).toBe(2);
    expect(await failure(run("backend=wsm"))).toMatchObject({ exitCode: 2, code: "unknown-backend" });
    expect(await failure(run("stream.languages=[aa, cc]"))).toMatchObject({ code: "language-not-in-dataset" });
  });

  test("a dataset of another vocabulary, or with other content, does not go on with the run", async () => {
    await run();
    await writeDiskDataset(join(folder, "dataset"), {
      aa: { train: 3001, validation: 300 },
      bb: { train: 2000, validation: 200 },
    });
    const changed = await failure(run("steps=8"));
    expect(changed.code).toBe("dataset-run-mismatch");
    expect(await failure(run(`run=${folder}/new`, "model.vocabSize=500"))).toMatchObject({
      code: "vocabulary-model-mismatch",
    });
  });

  test("a directory that holds something else is refused", async () => {
    const error = await failure(run(`run=${folder}`));
    expect(error).toMatchObject({ exitCode: 2, code: "run-directory-in-use" });
  });

  test("another run's directory is refused, naming the keys that differ", async () => {
    await run();
    const before = readFileSync(join(folder, "run", "config.yaml"), "utf8");
    const error = await failure(run("stream.batchSize=8", "model.switch.experts=4", "seed=9"));
    expect(error).toMatchObject({ exitCode: 2, code: "run-mismatch" });
    expect(error.message).toContain("stream.batchSize is 4 there, 8 here");
    expect(error.message).toContain("model.switch.experts is 2 there, 4 here");
    expect(error.message).toContain("seed is 0 there, 9 here");
    expect(readFileSync(join(folder, "run", "config.yaml"), "utf8")).toBe(before);
  });

  test("what does not change the result may change on the way, and the resolved file goes on with the run", async () => {
    await run();
    const longer = await run("steps=8", "logEvery=3", "checkpoints.keepLast=1", "name=renamed", "evaluation.every=5");
    expect(longer).toMatchObject({ step: 8, name: "renamed", interrupted: false, evaluation: { step: 8 } });
    const own = await pretrain(join(folder, "run", "config.yaml"), {
      log: silentLog,
      signal: new AbortController().signal,
    });
    expect(own).toEqual(longer);
    expect(await failure(run("steps=7"))).toMatchObject({ code: "run-beyond-steps" });
    // With a ramp down the rate of every step depends on how many there are.
    const ramped = [`run=${join(folder, "ramped")}`, "optimizer.learningRate.rampDownSteps=2"];
    await run(...ramped);
    expect((await failure(run(...ramped, "steps=8"))).message).toContain("steps is 6 there, 8 here");
  });

  test("a damaged last checkpoint is named; removed, the run goes on from the one before", async () => {
    await run();
    const last = join(folder, "run", "checkpoints", "step-00000006");
    const weights = join(last, "model.safetensors");
    const good = readFileSync(weights);
    const bytes = Uint8Array.from(good);
    bytes[bytes.length - 5] ^= 64;
    writeFileSync(weights, bytes);
    const flipped = await failure(run());
    expect(flipped).toMatchObject({ exitCode: 1, code: "checkpoint-damaged", where: weights });
    expect(flipped.hint).toContain(`remove ${last}`);
    rmSync(join(last, "optimizer.safetensors"));
    writeFileSync(weights, good);
    expect(await failure(run())).toMatchObject({
      code: "checkpoint-damaged",
      where: join(last, "optimizer.safetensors"),
    });
    rmSync(last, { recursive: true });
    expect((await run()).step).toBe(6);
    expect(readFileSync(weights)).toEqual(good);
  });

  test("a checkpoint that was copied in from another run is refused", async () => {
    await run();
    const config = parse(readFileSync(join(folder, "run", "config.yaml"), "utf8"));
    writeFileSync(join(folder, "run", "config.yaml"), stringify({ ...config, seed: 5 }));
    const description = JSON.parse(readFileSync(join(folder, "run", "run.json"), "utf8"));
    writeFileSync(join(folder, "run", "run.json"), JSON.stringify({ ...description, seed: 5 }));
    expect(await failure(run("seed=5"))).toMatchObject({
      code: "checkpoint-run-mismatch",
      where: expect.stringContaining("step-00000006"),
    });
  });
});
