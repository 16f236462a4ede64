import { expect, test } from "vitest";
import { randomStream } from "../base/random.js";
import {
  fitScalingLaw,
  type LawPoint,
  lawError,
  lawLoss,
  lawSpeedup,
  positionsForSpeedup,
  publishedLaw,
  resampleLaws,
  scalingLawSchema,
} from "./scalingLaw.js";

test("the published constants give the losses and speed-ups that were computed from the paper by hand", () => {
  const loss = (activeParameters: number, positions: number, experts: number): number =>
    lawLoss(publishedLaw, { activeParameters, positions, experts });
  expect(loss(3e6, 5e8, 1)).toBeCloseTo(4.44, 2);
  expect(loss(30e6, 2.5e8, 1)).toBeCloseTo(3.9, 2);
  const speedup = (activeParameters: number, positions: number, experts: number): number =>
    lawSpeedup(publishedLaw, { activeParameters, positions, experts });
  expect(speedup(3e6, 5e8, 16)).toBeCloseTo(2.15, 1);
  expect(speedup(10e6, 5e8, 8)).toBeCloseTo(1.47, 2);
  expect(speedup(30e6, 5e7, 32)).toBeCloseTo(0.59, 2);
  expect(speedup(3e6, 5e8, 1)).toBeCloseTo(1, 6);
});

test("the smallest budget for a speed-up is where the law gives it, and a speed-up out of reach has none", () => {
  const setting = { activeParameters: 3e6, experts: 16 };
  const positions = positionsForSpeedup(publishedLaw, setting, 1.3);
  expect(lawSpeedup(publishedLaw, { ...setting, positions: positions! })).toBeCloseTo(1.3, 6);
  expect(positionsForSpeedup(publishedLaw, { ...setting, experts: 1 }, 1.3)).toBeUndefined();
});

/** A ladder whose losses a law gives, with noise of so many nats a run and a point. */
function ladder(law: typeof publishedLaw, noise: number): LawPoint[] {
  const random = randomStream(1, "ladder");
  return [0.1e6, 0.2e6, 0.5e6, 1e6, 2e6].flatMap((activeParameters) =>
    [1, 4, 8, 16, 32].flatMap((experts) => {
      const ofRun = noise * (random.float() - 0.5);
      return [5e6, 10e6, 20e6, 40e6].map((positions) => ({
        run: `${activeParameters} ${experts}`,
        ...{ activeParameters, experts, positions },
        loss: lawLoss(law, { activeParameters, experts, positions }) + ofRun + noise * (random.float() - 0.5),
      }));
    }),
  );
}

const truth = { ...publishedLaw, a: 20, alpha: -0.25, b: 60, beta: -0.22, c: 0.9, omega: 0.3, delta: -0.15 };

test("a fit from other constants finds the law that made the points", () => {
  const points = ladder(truth, 0);
  const law = fitScalingLaw(points, publishedLaw);
  expect(lawError(law, points)).toBeLessThan(1e-4);
  const unseen = { activeParameters: 1.5e6, experts: 12, positions: 60e6 };
  expect(lawLoss(law, unseen)).toBeCloseTo(lawLoss(truth, unseen), 3);
});

test("laws of resampled runs spread about the truth as far as noise leaves open", () => {
  const points = ladder(truth, 0.02);
  const law = fitScalingLaw(points, publishedLaw);
  const laws = resampleLaws(points, law, { resamples: 20 });
  expect(laws).toEqual(resampleLaws(points, law, { resamples: 20 }));
  const setting = { activeParameters: 0.5e6, experts: 16, positions: 40e6 };
  const speedups = laws.map((each) => lawSpeedup(each, setting)).sort((x, y) => x - y);
  expect(speedups[0]).toBeLessThan(lawSpeedup(truth, setting));
  expect(speedups[19]).toBeGreaterThan(lawSpeedup(truth, setting));
  for (const each of laws) expect(scalingLawSchema.safeParse(each).success).toBe(true);
});

test("fewer points than constants are refused", () => {
  expect(() => fitScalingLaw(ladder(truth, 0).slice(0, 8), publishedLaw)).toThrow(RangeError);
});
