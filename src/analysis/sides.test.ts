import { describe, expect, test } from "vitest";
import { syntheticRun } from "../../test/reportRuns.js";
import { MswitchError } from "../base/errors.js";
import type { Run } from "../run/readRun.js";
import { arePaired, cutToCommonEnd, meanPoints, sideName } from "./sides.js";
import { speedupTable } from "./speedup.js";

const run = (name: string, steps: number[], seed = 1, speed = 1): Run => {
  const made = syntheticRun({ name, languages: ["af", "am"], steps, speed: () => speed, noise: 0.02 });
  return { ...made, description: { ...made.description, seed } };
};
const ends = (sides: readonly (readonly Run[])[]): number[] =>
  sides.flat().map(({ points }) => points[points.length - 1].step);

describe("cutToCommonEnd", () => {
  test("compares runs of different length over the steps that all have", () => {
    const long = run("dense", [0, 500, 1000, 1500, 2000, 2260]);
    const short = run("switch", [0, 500, 1000, 1500, 1740], 1, 1);
    expect(ends(cutToCommonEnd([[long], [short]]))).toEqual([1500, 1500]);
  });

  test("takes the last evaluations within the shorter run where none is at a common step", () => {
    expect(ends(cutToCommonEnd([[run("a", [0, 300, 600, 900])], [run("b", [0, 400, 800])]]))).toEqual([600, 800]);
  });

  test("refuses a run that was evaluated untrained only", () => {
    const untrained = run("new", [0]);
    expect(() => cutToCommonEnd([[run("dense", [0, 100])], [untrained]])).toThrow(MswitchError);
    expect(() => cutToCommonEnd([[run("dense", [0, 100])], [run("late", [0, 40])]])).toThrow(
      expect.objectContaining({ code: "no-speedup-yet" }),
    );
  });

  test("a run that is twice as fast is so however long the other is", () => {
    const every = (last: number): number[] => Array.from({ length: last / 50 }, (_, i) => 50 * (i + 1));
    const make = (last: number, speed: number): Run =>
      syntheticRun({ name: `${speed}`, languages: ["af"], steps: every(last), speed: () => speed });
    const [baseline, candidate] = cutToCommonEnd([[make(2250, 1)], [make(1700, 2)]]);
    const { step } = speedupTable(baseline, candidate, { resamples: 0 }).rows[0];
    expect(step.value).toBeCloseTo(2, 1);
  });
});

describe("a side of several seeds", () => {
  const side = [run("dense", [0, 100, 200], 1), run("other", [0, 100, 200], 2)];

  test("is their mean at the steps they share", () => {
    const [cut] = cutToCommonEnd([side, [run("switch", [0, 100, 200])]]);
    const [a, b] = side.map(({ points }) => points[2].languages.af.negLogPerplexity);
    expect(meanPoints(cut)[2].languages.af.negLogPerplexity).toBeCloseTo((a + b) / 2, 12);
    expect(sideName(side)).toBe("dense (2 seeds)");
  });

  test("is paired with another of the same seeds, and then equals itself in every draw", () => {
    expect(arePaired(side, side)).toBe(true);
    expect(arePaired(side, [side[0]])).toBe(false);
    for (const { step } of speedupTable(side, side, { resamples: 50 }).rows) {
      expect(step).toEqual({ value: 1, interval: [1, 1] });
    }
  });

  test("has wider intervals than one of its runs where the runs differ", () => {
    const fast = [run("switch", [0, 100, 200], 1, 2), run("switch", [0, 100, 200], 2, 4)];
    const width = (a: Run[], b: Run[]): number => {
      const { interval } = speedupTable(a, b, { resamples: 200 }).rows[0].gain;
      return interval![1] - interval![0];
    };
    expect(width(side, fast)).toBeGreaterThan(width([side[0]], [fast[0]]));
  });
});

test("a side's source use is the mean of its runs', and unknown where one of them has none", () => {
  const make = (sourceUse?: number): Run =>
    syntheticRun({ name: "a", languages: ["af"], steps: [0, 100], speed: () => 1, sourceUse });
  expect(meanPoints([make(0.2), make(0.4)])[1].languages.af.sourceUse).toBeCloseTo(0.3, 12);
  expect(meanPoints([make(0.2), make()])[1].languages.af.sourceUse).toBeUndefined();
});
