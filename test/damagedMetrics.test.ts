import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { macroSpeedup, speedupTable } from "../src/analysis/speedup.js";
import { type Run, readRun } from "../src/run/readRun.js";
import { syntheticRun, writeRun } from "./reportRuns.js";

let folder: string;
let metrics: string;
let whole: Run;
let text: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-damaged-"));
  metrics = join(folder, "metrics.jsonl");
  const run = syntheticRun({
    name: "run",
    languages: ["af", "am"],
    steps: [0, 10, 20, 40, 80],
    speed: () => 1,
    noise: 0.02,
  });
  await writeRun(run, folder);
  whole = await readRun(folder);
  text = readFileSync(metrics, "utf8");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A run with damaged metrics against itself: all speed-ups are 1, those in time may be unknown. @returns how many are unknown */
async function unknownTimes(damaged: string): Promise<number> {
  writeFileSync(metrics, damaged);
  const run = await readRun(folder);
  let unknown = 0;
  for (const [baseline, candidate] of [
    [whole, run],
    [run, whole],
    [run, run],
  ]) {
    const { rows } = speedupTable([baseline], [candidate], { resamples: 20 });
    for (const { step, time, flops } of [...rows, macroSpeedup([baseline], [candidate], ["af", "am"])]) {
      expect([step.value, flops.value]).toEqual([1, 1]);
      if (time === null) unknown++;
      else expect(time.value).toBeCloseTo(1, 12);
    }
  }
  return unknown;
}

test("against itself a run is neither faster nor slower, whatever befell its metrics", async () => {
  expect(await unknownTimes(text)).toBe(0);
  expect(await unknownTimes("")).toBe(9);
  const lines = text.trimEnd().split("\n");
  const damages = fc.oneof(
    // Bytes changed, a piece cut out, the end lost, lines lost, a line written twice.
    fc
      .array(fc.tuple(fc.nat(text.length - 1), fc.constantFrom(...'0123456789\n"{}e.-')), {
        minLength: 1,
        maxLength: 8,
      })
      .map((edits) => edits.reduce((all, [at, byte]) => all.slice(0, at) + byte + all.slice(at + 1), text)),
    fc.tuple(fc.nat(text.length), fc.nat(400)).map(([at, size]) => text.slice(0, at) + text.slice(at + size)),
    fc.nat(text.length).map((at) => text.slice(0, at)),
    fc.subarray(lines).map((kept) => kept.map((line) => `${line}\n`).join("")),
    fc.nat(lines.length - 1).map((at) => `${text}${lines[at]}\n`),
  );
  await fc.assert(
    fc.asyncProperty(damages, async (damaged) => void (await unknownTimes(damaged))),
    {
      numRuns: 150,
      seed: 1,
    },
  );
});

test("a line that is no evaluation's costs nothing", async () => {
  const evaluated = [10, 20, 40, 80];
  const others = text.split("\n").filter((line) => line !== "" && evaluated.includes(JSON.parse(line).step));
  expect(await unknownTimes(others.map((line) => `${line}\n`).join(""))).toBe(0);
});
