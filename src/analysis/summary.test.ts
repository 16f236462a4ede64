import { describe, expect, test } from "vitest";
import { syntheticRun } from "../../test/reportRuns.js";
import { speedupTable } from "./speedup.js";
import { histogram, mainTasks, summarize } from "./summary.js";

const languages = ["af", "am", "ja", "ja-Latn"];
const steps = Array.from({ length: 100 }, (_, i) => (i + 1) * 10);
const speeds: Record<string, number> = { af: 2, am: 5, ja: 0.5, "ja-Latn": 8 };
const table = speedupTable(
  [syntheticRun({ name: "dense", languages, steps, speed: () => 1, noise: 0.01 })],
  [syntheticRun({ name: "switch", languages, steps, speed: (code) => speeds[code], noise: 0.01 })],
  { resamples: 300 },
);

describe("summarize", () => {
  const summary = summarize(table, () => true);
  const step = summary.measures.step!;
  const values = table.rows.map((row) => row.step.value);

  test("mean, median and shares of the rows", () => {
    expect(summary.count).toBe(4);
    expect(step.mean.value).toBeCloseTo(values.reduce((a, b) => a + b) / 4, 12);
    const sorted = [...values].sort((a, b) => a - b);
    expect(step.median.value).toBeCloseTo((sorted[1] + sorted[2]) / 2, 12);
    expect(step.big.value).toBe(0.5);
    expect(summary.improved.value).toBe(0.75);
    expect(summary.reversed).toBe(1);
  });

  test("the mean's interval is narrower than its widest part and encloses it", () => {
    const [low, high] = step.mean.interval!;
    expect(low).toBeLessThan(step.mean.value);
    expect(high).toBeGreaterThan(step.mean.value);
    const widest = Math.max(...table.rows.map((row) => row.step.interval![1] - row.step.interval![0]));
    expect(high - low).toBeLessThan(widest);
  });

  test("a median holds its value where every resample's lies to one side of it", () => {
    const row = { ...table.rows[0], step: { value: 2, interval: null } };
    const resamples = { ...table.resamples[0], step: table.resamples[0].step.map((_, r) => 1 + (r % 10) / 20) };
    const { median } = summarize({ rows: [row], resamples: [resamples], leftOut: [] }, () => true).measures.step!;
    expect(median.interval![0]).toBeCloseTo(1.775, 6);
    expect(median.interval![1]).toBeCloseTo(2.225, 6);
  });

  test("over some rows only", () => {
    expect(summarize(table, (code) => code === "am").measures.step!.mean.value).toBe(
      table.rows.find((row) => row.code === "am")!.step.value,
    );
  });
});

test("a language is stood for by the task in its own script, by a variant only without it", () => {
  const languageOf = (code: string): string => code.replace("-Latn", "");
  expect(mainTasks(["ja-Latn", "ja", "zh-Latn", "af"], languageOf)).toEqual(new Set(["ja", "zh-Latn", "af"]));
});

describe("histogram", () => {
  test("holds every value once, in equal bins with round edges", () => {
    const values = Array.from({ length: 107 }, (_, i) => 2.85 + (12 * i) / 106);
    const bins = histogram(values);
    expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(107);
    expect(bins[0]).toMatchObject({ low: 2, high: 3 });
    for (const { low, high, count } of bins) {
      expect(high - low).toBe(1);
      expect(count).toBe(
        values.filter((v) => v >= low && (v < high || (high === bins.at(-1)!.high && v === high))).length,
      );
    }
  });

  test("of one value, and of equal values", () => {
    expect(histogram([1]).reduce((sum, bin) => sum + bin.count, 0)).toBe(1);
    expect(histogram([2, 2, 2]).map((bin) => bin.count)).toContain(3);
  });
});
