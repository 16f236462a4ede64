import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { sha256 } from "../src/base/hash.js";
import { type Log, silentLog } from "../src/base/log.js";
import { randomStream } from "../src/base/random.js";
import { openSafetensors } from "../src/model/checkpoint/safetensors.js";
import { runDescriptionSchema } from "../src/run/runFiles.js";
import type { StudyResults } from "../src/study/studyResults.js";
import { pretrain } from "../src/train/pretrain.js";
import { mswitch } from "./preprocessRuns.js";
import { resultHashes, writeTinyPipeline } from "./pretrainRun.js";

/** Aborts at the first line of the log that has this text. */
function stoppingLog(text: string, controller: AbortController): Log {
  const info = (line: string): void => {
    if (line.includes(text)) controller.abort("stopped");
  };
  return { info, warn: () => {} };
}

describe("mswitch distill", () => {
  let folder: string;
  let file: string;
  let teacher: string;
  const options = (command: "pretrain" | "finetune" | "distill", sets: string[] = []) => ({
    ...{ command, sets, log: silentLog, signal: new AbortController().signal },
  });
  const student = (run: string, more: string[] = []) => ({
    ...options("distill", ["model.switch=null", `teacher.from=${teacher}`, ...more]),
    run: join(folder, run),
  });
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-distill-"));
    file = await writeTinyPipeline(folder);
    teacher = (await pretrain(file, { ...options("pretrain"), run: join(folder, "teacher") })).run;
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  /** All that a run's last checkpoint and evaluations hold. */
  const bytesOf = (run: string): string =>
    ["checkpoints/step-00000006", "eval"]
      .flatMap((part) =>
        readdirSync(join(folder, run, part))
          .filter((name) => !["clock.json", "README.md"].includes(name))
          .sort()
          .map((name) => `${name} ${sha256(readFileSync(join(folder, run, part, name)))}`),
      )
      .join("\n");

  it("goes on after a stop to the same bytes, and says what it learnt from", async () => {
    await pretrain(file, student("whole"));
    const controller = new AbortController();
    const log = stoppingLog("step 3/6", controller);
    const stopped = await pretrain(file, { ...student("stopped"), log, signal: controller.signal });
    expect(stopped.interrupted).toBe(true);
    expect(stopped.step).toBeLessThan(6);
    await pretrain(file, student("stopped"));
    expect(bytesOf("stopped")).toBe(bytesOf("whole"));

    const read = (name: string): string => readFileSync(join(folder, "whole", name), "utf8");
    const description = runDescriptionSchema.parse(JSON.parse(read("run.json")));
    expect(description.teacher).toMatchObject({ experts: 2, weight: 0.25, temperature: 1 });
    expect(description.teacher!.parameters).toBeGreaterThan(description.parameters);
    expect(parse(read("config.yaml")).teacher.weights).toBe(description.teacher!.weights);
    // The teacher on the student's own examples is the teacher's own evaluation: both runs have the same.
    const own = JSON.parse(readFileSync(join(teacher, "eval", "step-00000006.json"), "utf8"));
    expect(JSON.parse(read("teacher.json")).languages).toEqual(own.languages);
    const lines = read("metrics.jsonl").trim().split("\n");
    for (const line of lines) expect(line).toContain("distillationLoss");
  }, 60_000);

  it("killed at random moments and started again, ends with the same bytes", async () => {
    const sets = ["model.switch=null", `teacher.from=${teacher}`, "steps=12"].flatMap((set) => ["--set", set]);
    const [unbroken, killed] = ["unbroken", "killed"].map((name) => join(folder, name));
    const begin = Date.now();
    expect(await mswitch(["distill", file, ...sets, "--run", unbroken])).toMatchObject({ code: 0 });
    const duration = Date.now() - begin;
    const random = randomStream(Date.now(), "kill");
    for (let kill = 0; kill < 4; kill++) {
      await mswitch(["distill", file, ...sets, "--run", killed], { kill: sleep(duration * random.float()) });
    }
    const { code, stderr } = await mswitch(["distill", file, ...sets, "--run", killed]);
    expect(code, stderr).toBe(0);
    expect(resultHashes(killed)).toEqual(resultHashes(unbroken));
    expect(readFileSync(join(killed, "teacher.json"))).toEqual(readFileSync(join(unbroken, "teacher.json")));
  }, 120_000);

  it("learns something else than without its teacher, and with another weight", async () => {
    await pretrain(file, { ...options("pretrain", ["model.switch=null"]), run: join(folder, "alone") });
    await pretrain(file, student("half", ["teacher.weight=0.5"]));
    await pretrain(file, student("none", ["teacher.weight=0"]));
    const weights = (run: string): string =>
      bytesOf(run)
        .split("\n")
        .find((line) => line.startsWith("model.safetensors"))!;
    expect(new Set(["whole", "alone", "half"].map(weights)).size).toBe(3);
  }, 60_000);

  it("starts from the teacher's weights but its experts", async () => {
    await pretrain(file, student("started", [`init.from=${teacher}`, "steps=1", "optimizer.learningRate.base=1e-12"]));
    const open = async (run: string, step: string) =>
      openSafetensors(join(folder, run, "checkpoints", step, "model.safetensors"));
    const [from, to] = [await open("teacher", "step-00000006"), await open("started", "step-00000001")];
    const name = "encoder.block.0.layer.0.SelfAttention.q.weight";
    const [before, after] = [await from.readFloat(name), await to.readFloat(name)];
    expect(Math.max(...before.map((value, i) => Math.abs(value - after[i])))).toBeLessThan(1e-6);
    await from.close();
    await to.close();
  }, 60_000);

  it("is part of a study, whose report says what is kept of the gain of a teacher that the study trained", async () => {
    const study = join(folder, "study.yaml");
    const variants = {
      alone: { "model.switch": null },
      teacher: {},
      distilled: { "model.switch": null, "teacher.from": "variant:teacher", "init.from": "variant:teacher" },
    };
    writeFileSync(study, stringify({ title: "T", base: file, out: join(folder, "study"), variants, seeds: [3] }));
    const bin = fileURLToPath(new URL("../bin/run.js", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [bin, "study", study, "--processes", "2", "--json"]);
    const { results, report } = JSON.parse(stdout) as { results: StudyResults; report: string };
    expect(results.missing).toEqual([]);
    const [{ variant, parameters, compression, kept, languages }] = results.distilled;
    expect([results.distilled.length, variant]).toEqual([1, "distilled"]);
    expect(compression).toBeCloseTo(1 - parameters.student / parameters.teacher, 12);
    const last = (name: string): number => results.variants.find((row) => row.variant === name)!.quality!.mean;
    const gain = last("teacher") - last("alone");
    if (gain > 0) expect(kept).toBeCloseTo((last("distilled") - last("alone")) / gain, 6);
    else expect(kept).toBeNull();
    expect(languages.map(({ code }) => code)).toEqual(["aa", "bb"]);
    expect(readFileSync(report, "utf8")).toContain("gain kept");
  }, 120_000);

  it("refuses what does not fit", async () => {
    const run = join(folder, "refused");
    await expect(pretrain(file, { ...student("refused"), command: "pretrain" })).rejects.toMatchObject({
      code: "objective-command-mismatch",
    });
    await expect(pretrain(file, { ...options("distill"), run })).rejects.toMatchObject({
      code: "objective-command-mismatch",
    });
    await expect(pretrain(file, student("refused", ["model.vocabSize=300032"]))).rejects.toMatchObject({
      code: "vocabulary-teacher-mismatch",
    });
    await expect(pretrain(file, student("refused", ["teacher.from=nowhere"]))).rejects.toMatchObject({
      code: "model-not-found",
    });
    const config = join(folder, "whole", "config.yaml");
    const changed = parse(readFileSync(config, "utf8"));
    changed.teacher.weights = "0".repeat(64);
    writeFileSync(config, stringify(changed));
    await expect(pretrain(config, options("distill"))).rejects.toMatchObject({ code: "init-weights-changed" });
  }, 60_000);
});
