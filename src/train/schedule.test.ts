import { expect, test } from "vitest";
import { learningRateAt } from "./schedule.js";

test("inverse square root: constant to the end of the warm-up, then 1/sqrt(step)", () => {
  const rate = { schedule: "inverse-sqrt", base: 1, warmupSteps: 10_000, rampDownSteps: 0 } as const;
  expect(learningRateAt(rate, 0, 1_000_000)).toBe(0.01);
  expect(learningRateAt(rate, 10_000, 1_000_000)).toBe(0.01);
  expect(learningRateAt(rate, 40_000, 1_000_000)).toBe(0.005);
  expect(learningRateAt(rate, 1_000_000, 1_000_000)).toBe(0.001);
});

test("a ramp down ends at 0 and begins where it is told to", () => {
  const rate = { schedule: "constant", base: 0.5, rampDownSteps: 100 } as const;
  expect(learningRateAt(rate, 0, 1000)).toBe(0.5);
  expect(learningRateAt(rate, 900, 1000)).toBe(0.5);
  expect(learningRateAt(rate, 950, 1000)).toBe(0.25);
  expect(learningRateAt(rate, 999, 1000)).toBeCloseTo(0.005);
});
