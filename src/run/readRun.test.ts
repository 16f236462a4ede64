import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { syntheticRun, writeRun } from "../../test/reportRuns.js";
import { isFinished, readRun } from "./readRun.js";

const run = syntheticRun({ name: "switch", languages: ["af", "am"], steps: [10, 20], speed: () => 1, experts: 4 });
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-run-"));
  await writeRun(run, dir);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe("readRun", () => {
  test("gives back what was written", async () => {
    expect(await readRun(dir)).toEqual({ ...run, dir });
    expect(isFinished(run)).toBe(true);
    expect(isFinished({ ...run, points: run.points.slice(0, 1) })).toBe(false);
  });

  test("does not take a half-written last line of the metrics", async () => {
    await appendFile(join(dir, "metrics.jsonl"), '{"step": 30, "trainSe');
    expect((await readRun(dir)).metrics).toEqual(run.metrics);
  });

  test("leaves out damaged lines of the metrics and says which, the good ones after them stay", async () => {
    const path = join(dir, "metrics.jsonl");
    const lines = (await readFile(path, "utf8")).split("\n");
    lines[0] = lines[0].replace(/"trainSeconds":\d/, '"trainSeconds":9');
    lines[2] = "garbage";
    await writeFile(path, lines.join("\n"));
    const { metrics, damagedMetrics } = await readRun(dir);
    expect(damagedMetrics).toEqual([1, 3]);
    expect(metrics).toEqual(run.metrics.filter((_, i) => i !== 0 && i !== 2));
  });

  test.each([
    ["run.json", "{", /run\.json.*not JSON/],
    ["run.json", "{}", /run\.json.*name/],
    ["eval/step-00000020.json", '{"step":20,"routing":[],"languages":{}}', /holds no language/],
    [
      "eval/step-00000020.json",
      '{"step":20,"routing":[],"languages":{"af":{"negLogPerplexity":-1,"exampleLogProbs":[-3],"exampleTokens":[3,4]}}}',
      /af do not fit together/,
    ],
    [
      "eval/step-00000020.json",
      '{"step":20,"routing":[],"languages":{"af":{"negLogPerplexity":-1,"exampleLogProbs":[-3],"exampleTokens":[3]}}}',
      /af was evaluated on other examples at step 20 than at step 10/,
    ],
  ])("refuses a bad %s", async (name, text, message) => {
    await writeFile(join(dir, name), text);
    await expect(readRun(dir)).rejects.toThrow(message);
  });

  test("refuses what is no run, and a run without an evaluation", async () => {
    await rm(join(dir, "eval"), { recursive: true });
    await expect(readRun(dir)).rejects.toMatchObject({ code: "run-not-evaluated" });
    await expect(readRun(join(dir, "absent"))).rejects.toMatchObject({ exitCode: 2, why: "it has no run.json" });
  });
});
