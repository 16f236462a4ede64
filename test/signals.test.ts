import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomStream } from "../src/base/random.js";
import { resultHashes, startPretrain, writeTinyPipeline } from "./pretrainRun.js";

/** `MSWITCH_SOAK=1` sends 50 signals and holds each end to 20 seconds. */
const soak = process.env.MSWITCH_SOAK !== undefined;
const signals = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
const rounds = soak ? 50 : signals.length;

const steps = soak ? 600 : 60;
const keys = {
  steps,
  evaluation: { every: 10, examplesPerLanguage: 100 },
  checkpoints: { every: 1000, keepLast: 2 },
  logEvery: 5,
};
let folder: string;
let pipeline: string;
let expected: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-signals-"));
  pipeline = await writeTinyPipeline(folder, keys);
  const { code, stderr } = await startPretrain([pipeline, "--run", join(folder, "unbroken")]).ended;
  expect(code, stderr).toBe(0);
  expected = resultHashes(join(folder, "unbroken"));
}, 1_800_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(`stopped by ${rounds} signals at random moments, a run ends each time with a checkpoint, and at last with the same bytes`, {
  timeout: 3_600_000,
}, async () => {
  const run = join(folder, "stopped");
  const seed = Date.now();
  const random = randomStream(seed, "signals");
  const seconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const signal = soak ? "SIGTERM" : signals[round];
    const started = startPretrain([pipeline, "--run", run, "--json"]);
    // From the first line of the log on: before it nothing has been touched. Then anywhere in a step, evaluation or checkpoint.
    await started.line(1 + random.integer(14));
    await sleep(random.float() * 300);
    const sent = performance.now();
    started.child.kill(signal);
    const { code, stdout, stderr } = await started.ended;
    const context = `seed ${seed}, round ${round}, ${signal}:\n${stderr}`;
    seconds.push((performance.now() - sent) / 1000);
    if (soak) expect(seconds.at(-1), context).toBeLessThan(20);
    expect(existsSync(join(run, "run.lock")), context).toBe(false);
    // A run that was done before the signal came ends as always.
    expect([0, 130], context).toContain(code);
    const { step, checkpoint } = JSON.parse(stdout) as { step: number; checkpoint: string | null };
    if (step > 0) expect(existsSync(join(checkpoint!, "complete.json")), context).toBe(true);
    if (code === 0) break;
  }
  if (soak) console.info(`${seconds.length} signals, answered within ${Math.max(...seconds).toFixed(1)} s`);
  const { code, stderr } = await startPretrain([pipeline, "--run", run]).ended;
  expect(code, stderr).toBe(0);
  const last = (hashes: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(hashes).filter(
        ([name]) => name.startsWith("eval/") || name.includes(`step-${String(steps).padStart(8, "0")}`),
      ),
    );
  expect(last(resultHashes(run)), `seed ${seed}`).toEqual(last(expected));
});
