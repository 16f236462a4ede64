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

test("cosine and linear fall from the base after the warm-up to what is left at the end", () => {
  const rest = { base: 2, warmupSteps: 10, final: 0.1 };
  for (const schedule of ["cosine", "linear"] as const) {
    const rate = (step: number): number => learningRateAt({ schedule, ...rest }, step, 110);
    expect([rate(0), rate(4), rate(9), rate(10)]).toEqual([0.2, 1, 2, 2]);
    expect(rate(60)).toBeCloseTo(1.1);
    expect(rate(110)).toBeCloseTo(0.2);
  }
  expect(learningRateAt({ schedule: "cosine", ...rest }, 35, 110)).toBeCloseTo(0.2 + 0.9 * (1 + Math.SQRT1_2));
  expect(learningRateAt({ schedule: "linear", ...rest }, 35, 110)).toBeCloseTo(1.55);
});

test("warm-up, stable, decay", () => {
  const rate = (step: number): number =>
    learningRateAt(
      { schedule: "warmup-stable-decay", base: 1, warmupSteps: 4, warmupFrom: 0.5, decaySteps: 20, final: 0 },
      step,
      100,
    );
  expect([rate(0), rate(3), rate(50), rate(80), rate(90), rate(95)]).toEqual([0.625, 1, 1, 1, 0.5, 0.25]);
});

test("a warm-up of inverse-sqrt is constant unless it is told where to begin", () => {
  const rate = { schedule: "inverse-sqrt", base: 1, warmupSteps: 100, rampDownSteps: 0 } as const;
  expect(learningRateAt(rate, 0, 1000)).toBe(0.1);
  expect(learningRateAt({ ...rate, warmupFrom: 0 }, 49, 1000)).toBe(0.05);
});
