import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLog } from "../base/log.js";
import {
  appendMetrics,
  clearLeftovers,
  cutBack,
  type RunPaths,
  readEvaluations,
  recordEnvironment,
  runPaths,
} from "./runDirectory.js";
import type { MetricsLine } from "./runFiles.js";

let paths: RunPaths;
beforeEach(() => {
  paths = runPaths(mkdtempSync(join(tmpdir(), "mswitch-run-")));
});
afterEach(() => rmSync(paths.directory, { recursive: true, force: true }));

const line = (step: number): MetricsLine => ({
  ...{ step, trainSeconds: step * 2, loss: 1, negLogPerplexity: -1, gradNorm: 1, learningRate: 1 },
  ...{ tokensPerSecond: 1, dataWait: 0, flopsPerSecond: 1, memoryBytes: 1 },
});

const steps = (): number[] =>
  readFileSync(paths.metrics, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text).step);

test("records are cut back to a step, half-written lines and later evaluations left out", async () => {
  for (const step of [1, 2, 3, 4]) await appendMetrics(paths, line(step));
  writeFileSync(paths.metrics, `${readFileSync(paths.metrics, "utf8")}{"step":5,"trainSec`);
  mkdirSync(paths.evaluations);
  for (const step of [0, 2, 4]) writeFileSync(join(paths.evaluations, `step-0000000${step}.json`), "{}");
  expect(await cutBack(paths, 3, silentLog)).toBe(6);
  expect(steps()).toEqual([1, 2, 3]);
  expect(readdirSync(paths.evaluations).sort()).toEqual(["step-00000000.json", "step-00000002.json"]);
  expect(await cutBack(paths, 0, silentLog)).toBeUndefined();
  expect(steps()).toEqual([]);
});

test("a damaged evaluation is named", async () => {
  mkdirSync(paths.evaluations);
  writeFileSync(join(paths.evaluations, "step-00000002.json"), '{"step": 2');
  await expect(readEvaluations(paths)).rejects.toMatchObject({
    code: "run-file-unreadable",
    where: join(paths.evaluations, "step-00000002.json"),
  });
});

test("a damaged line costs no other, and is warned of", async () => {
  const warn = vi.fn();
  for (const step of [1, 2, 3]) await appendMetrics(paths, line(step));
  const text = readFileSync(paths.metrics, "utf8");
  // A digit of a time, which is still a line of JSON.
  writeFileSync(paths.metrics, `{"step":\n${text.replace('"trainSeconds":4', '"trainSeconds":5')}`);
  expect(await cutBack(paths, 3, { info: () => undefined, warn })).toBe(6);
  expect(warn.mock.calls[0][0]).toContain("2 damaged lines left out (1, 3)");
  expect(steps()).toEqual([1, 3]);
  expect(await cutBack(paths, 2, silentLog)).toBeUndefined();
});

test("leftovers of killed writers go, everything else stays", async () => {
  mkdirSync(join(paths.checkpoints, ".step-00000002.tmp-abc"), { recursive: true });
  writeFileSync(join(paths.directory, ".config.yaml.tmp-abc"), "");
  writeFileSync(join(paths.directory, "notes.txt"), "mine");
  await clearLeftovers(paths);
  expect(readdirSync(paths.directory).sort()).toEqual(["checkpoints", "notes.txt"]);
  expect(readdirSync(paths.checkpoints)).toEqual([]);
});

test("each process adds itself to the environment; a damaged file starts anew", async () => {
  await recordEnvironment(paths, { backend: "cpu", fromStep: 0 });
  await recordEnvironment(paths, { backend: "cpu", fromStep: 7 });
  const entries = (): { fromStep: number }[] => JSON.parse(readFileSync(paths.environment, "utf8"));
  expect(entries().map(({ fromStep }) => fromStep)).toEqual([0, 7]);
  writeFileSync(paths.environment, "[{");
  await recordEnvironment(paths, { backend: "cpu", fromStep: 9 });
  expect(entries().map(({ fromStep }) => fromStep)).toEqual([9]);
  expect(existsSync(paths.metrics)).toBe(false);
});
