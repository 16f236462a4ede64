import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstReach, matchQuality } from "./crossing.js";

const curve = (steps: number[], quality: number[]) => ({ steps, quality });

describe("firstReach", () => {
  const rising = curve([100, 200, 400], [-4, -3, -2]);

  test("is linear in the step between evaluations", () => {
    expect(firstReach(rising, -3.5)).toEqual({ step: 150, before: false });
    expect(firstReach(rising, -3)).toEqual({ step: 200, before: false });
    expect(firstReach(rising, -2.25)).toEqual({ step: 350, before: false });
  });

  test("is a bound where the first evaluation is there already, undefined where none is", () => {
    expect(firstReach(rising, -4)).toEqual({ step: 100, before: true });
    expect(firstReach(rising, -1.99)).toBeUndefined();
  });

  test("takes the first crossing of a curve that falls again", () => {
    expect(firstReach(curve([1, 2, 3, 4], [-5, -3, -4, -2]), -3.5)?.step).toBe(1.75);
  });

  test("what happens between the untrained model and the first evaluation after it is a bound", () => {
    const curve0 = curve([0, 10, 20], [-9, -4, -3]);
    expect(firstReach(curve0, -6)).toEqual({ step: 10, before: true });
    expect(firstReach(curve0, -10)).toEqual({ step: 10, before: true });
    expect(firstReach(curve0, -3.5)).toEqual({ step: 15, before: false });
    expect(firstReach(curve([0], [-5]), -6)).toEqual({ step: 1, before: true });
  });
});

describe("matchQuality", () => {
  const baseline = curve([100, 200, 300, 400], [-5, -4, -3.5, -3]);

  test("the candidate is matched to the baseline's final quality", () => {
    expect(matchQuality(baseline, curve([100, 200, 300, 400], [-3.5, -2.5, -2, -1.5]))).toEqual({
      of: "baseline",
      quality: -3,
      baselineStep: 400,
      candidateStep: 150,
      bound: "none",
    });
  });

  test("a candidate that is there before its first evaluation gives a bound", () => {
    expect(matchQuality(baseline, curve([50, 400], [-3, -1]))).toMatchObject({
      baselineStep: 400,
      candidateStep: 50,
      bound: "atLeast",
    });
  });

  test("a candidate that never gets there is asked the other way round", () => {
    expect(matchQuality(baseline, curve([100, 200, 300, 400], [-6, -5, -4.5, -3.75]))).toEqual({
      of: "candidate",
      quality: -3.75,
      baselineStep: 250,
      candidateStep: 400,
      bound: "none",
    });
    expect(matchQuality(baseline, curve([100, 400], [-9, -6]))).toMatchObject({ baselineStep: 100, bound: "atMost" });
  });

  test("a shorter candidate is measured by its own steps", () => {
    expect(matchQuality(baseline, curve([50, 100], [-4.5, -3.5]))).toMatchObject({
      of: "candidate",
      baselineStep: 300,
      candidateStep: 100,
    });
  });
});

/** A strictly rising curve on steps 10, 20, …. */
const rising = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 3, maxLength: 12 }).map((gains) => {
  let quality = -10;
  return curve(
    gains.map((_, i) => 10 * (i + 1)),
    gains.map((gain) => {
      quality += gain;
      return quality;
    }),
  );
});
const ratio = (a: Parameters<typeof matchQuality>[0], b: Parameters<typeof matchQuality>[1]): number => {
  const { baselineStep, candidateStep } = matchQuality(a, b);
  return baselineStep / candidateStep;
};

describe("speed-up as a property of curves", () => {
  test("a run against itself is 1", () => {
    fc.assert(
      fc.property(rising, (a) => {
        expect(ratio(a, a)).toBeCloseTo(1, 12);
      }),
    );
  });

  test("a better curve never has a smaller speed-up", () => {
    fc.assert(
      fc.property(rising, rising, fc.double({ min: 0, max: 2, noNaN: true }), (a, b, lift) => {
        const better = curve(
          b.steps,
          b.quality.map((q) => q + lift),
        );
        expect(ratio(a, better)).toBeGreaterThanOrEqual(ratio(a, b) * (1 - 1e-12));
      }),
    );
  });

  test("a candidate that needs k times fewer steps for everything has k times the speed-up", () => {
    fc.assert(
      fc.property(rising, rising, fc.integer({ min: 2, max: 5 }), (a, b, k) => {
        const slow = curve(
          b.steps.map((step) => step * k),
          b.quality,
        );
        expect(ratio(a, b)).toBeCloseTo(ratio(a, slow) * k, 9);
      }),
    );
  });

  test("the unit of steps does not matter", () => {
    fc.assert(
      fc.property(rising, rising, fc.integer({ min: 2, max: 1000 }), (a, b, k) => {
        const scaled = (c: typeof a) =>
          curve(
            c.steps.map((step) => step * k),
            c.quality,
          );
        expect(ratio(scaled(a), scaled(b))).toBeCloseTo(ratio(a, b), 9);
      }),
    );
  });

  test("the other way round is the reciprocal where neither run is bounded", () => {
    fc.assert(
      fc.property(rising, rising, (a, b) => {
        const [there, back] = [matchQuality(a, b), matchQuality(b, a)];
        if (there.of === back.of || there.bound !== "none" || back.bound !== "none") return;
        expect(ratio(a, b) * ratio(b, a)).toBeCloseTo(1, 9);
      }),
    );
  });
});
