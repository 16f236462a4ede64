import { expect, test } from "vitest";
import { lawSpeedup, publishedLaw } from "../../analysis/scalingLaw.js";
import { describeLaw } from "./describeSpeedup.js";
import { type FittedLaw, readFittedLaw } from "./fittedLaw.js";
import { planSpeedup } from "./planSpeedup.js";

/** A fit whose law is the published one, with two others about it. */
const fitted: FittedLaw = {
  ...{ studies: ["ladder"], runs: 40, points: 400, law: publishedLaw, error: 0.01, unseen: null },
  range: { activeParameters: [1e5, 3e6], experts: [1, 32], positions: [1e7, 4e7] },
  resampled: [
    { ...publishedLaw, omega: 0.5 },
    { ...publishedLaw, omega: 0.6 },
  ],
};

test("the plan is the law's speed-up for each number of experts, with the spread of the resampled laws", () => {
  const run = { activeParameters: 3e6, positions: 5e8 };
  const plan = planSpeedup(run, fitted);
  for (const { experts, speedup, interval } of plan.experts) {
    expect(speedup).toBe(lawSpeedup(publishedLaw, { ...run, experts }));
    expect(interval![0]).toBeLessThan(speedup!);
    expect(interval![1]).toBeGreaterThan(speedup!);
  }
  expect(plan.best).toBe(plan.experts.reduce((a, b) => (b.speedup! > a.speedup! ? b : a)).experts);
  expect(plan.beyond).toEqual(["positions"]);
});

test("a budget too small for experts is said to be so, with the smallest that is worth it", () => {
  const plan = planSpeedup({ activeParameters: 30e6, positions: 5e7 }, undefined);
  expect(plan.experts.every(({ speedup, published }) => speedup === null && published < 1)).toBe(true);
  expect(plan.best).toBe(1);
  expect(plan.beyond).toEqual(["active parameters", "positions"]);
  const { experts, positions, speedup } = plan.worthwhile!;
  expect(lawSpeedup(publishedLaw, { activeParameters: 30e6, experts, positions })).toBeCloseTo(speedup, 6);
});

test("the law that ships, where one does, says how well it holds", () => {
  const law = readFittedLaw();
  if (law) expect(describeLaw(law)).toContain(`${law.runs} runs`);
  expect(describeLaw(undefined)).toContain("published");
  expect(readFittedLaw("/nowhere")).toBeUndefined();
});
