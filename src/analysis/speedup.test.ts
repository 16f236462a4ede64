import { describe, expect, test } from "vitest";
import { syntheticRun } from "../../test/reportRuns.js";
import { macroSpeedup, speedupTable } from "./speedup.js";
import { summarize } from "./summary.js";

const languages = ["af", "am", "ja", "ja-Latn"];
const steps = Array.from({ length: 50 }, (_, i) => (i + 1) * 20);
const speeds: Record<string, number> = { af: 2, am: 4.5, ja: 0.5, "ja-Latn": 60 };
const baseline = syntheticRun({ name: "dense", languages, steps, speed: () => 1 });
const candidate = syntheticRun({
  name: "switch",
  languages,
  steps,
  speed: (code) => speeds[code],
  experts: 8,
  flopsPerStep: 1.1e9,
  secondsPerStep: 0.75,
});
const table = speedupTable([baseline], [candidate], { resamples: 200 });
const row = (code: string) => table.rows.find((r) => r.code === code)!;

describe("speedupTable", () => {
  test("finds the known speed-up of every language, late by at most a bend between evaluations", () => {
    // Both runs have the same offsets, so a candidate k times as fast is at the baseline's last quality at step 1000 / k.
    expect(row("af").step.value).toBeCloseTo(2, 2);
    expect(row("am").step.value).toBeCloseTo(4.5, 1);
    expect(row("am").step.value).toBeLessThanOrEqual(4.5);
    expect(row("ja").step.value).toBeCloseTo(0.5, 2);
    expect(row("ja").match.of).toBe("candidate");
    expect(row("ja-Latn").match.bound).toBe("atLeast");
    expect(row("ja-Latn").step.value).toBe(50);
  });

  test("time and FLOPs are the steps' ratio times their cost", () => {
    expect(row("af").time!.value).toBeCloseTo((row("af").step.value * 0.5) / 0.75, 9);
    expect(row("af").flops.value).toBeCloseTo(row("af").step.value / 1.1, 9);
  });

  test("intervals enclose the value, and are exact where the runs differ by nothing but speed", () => {
    for (const { step, gain } of table.rows) {
      expect(step.interval![0]).toBeLessThanOrEqual(step.value + 1e-9);
      expect(step.interval![1]).toBeGreaterThanOrEqual(step.value - 1e-9);
      expect(gain.interval![0]).toBeLessThanOrEqual(gain.value + 1e-9);
    }
  });

  test("without logged times there is no time speed-up", () => {
    const untimed = speedupTable([baseline], [{ ...candidate, metrics: [] }], { resamples: 10 });
    expect(untimed.rows[0].time).toBeNull();
    expect(summarize(untimed, () => true).measures.time).toBeNull();
  });

  test("a language of one run alone is left out and named", () => {
    const more = syntheticRun({ name: "more", languages: [...languages, "zu"], steps, speed: () => 2 });
    expect(speedupTable([baseline], [more], { resamples: 0 }).leftOut).toEqual(["zu"]);
  });

  test("a run against itself is as fast as itself, however noisy its curves", () => {
    const noisy = structuredClone(baseline);
    for (const [i, point] of noisy.points.entries()) {
      for (const quality of Object.values(point.languages)) {
        const noise = 0.3 * Math.sin(7 * i);
        quality.negLogPerplexity += noise;
        quality.exampleLogProbs = quality.exampleLogProbs.map((p, e) => p + noise * quality.exampleTokens[e]);
      }
    }
    for (const { step, gain } of speedupTable([noisy], [noisy], { resamples: 20 }).rows) {
      expect(step).toEqual({ value: 1, interval: [1, 1] });
      expect(gain).toEqual({ value: 0, interval: [0, 0] });
    }
  });

  test("the mean curve has a speed-up of its own", () => {
    const { step, match } = macroSpeedup([baseline], [candidate], ["af"]);
    expect(step).toEqual({ value: row("af").step.value, interval: null });
    expect(match).toEqual(row("af").match);
  });
});
