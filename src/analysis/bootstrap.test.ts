import { expect, test } from "vitest";
import { randomStream } from "../base/random.js";
import { drawRuns, interval95, quantile, resampleCurves } from "./bootstrap.js";
import { seedMean } from "./seeds.js";

const scores = (steps: number[], logProbs: number[]) => [{ steps, logProbs: Float64Array.from(logProbs) }];

test("both runs and all evaluations see the same draw", () => {
  // The candidate is better by exactly 0.5 nat per token on each example: so it is on every resample.
  const tokens = Float64Array.from([10, 20, 30]);
  const base = [-40, -50, -130];
  const better = base.map((x, i) => x + 0.5 * tokens[i]);
  const drawn = resampleCurves(scores([1, 2], [...base, ...better]), scores([1], better), tokens, {
    resamples: 200,
    seed: 0,
    key: "af",
  });
  for (let r = 0; r < 200; r++) {
    expect(drawn.candidate[r]).toBe(drawn.baseline[2 * r + 1]);
    expect(drawn.candidate[r] - drawn.baseline[2 * r]).toBeCloseTo(0.5, 12);
  }
  expect(new Set(drawn.candidate).size).toBeGreaterThan(3);
});

test("is a pure function of seed and key", () => {
  const draw = (seed: number, key: string) =>
    resampleCurves(scores([1], [-4, -5, -6]), scores([1], [-1, -2, -3]), Float64Array.from([1, 1, 1]), {
      resamples: 50,
      seed,
      key,
    });
  expect(draw(1, "af")).toEqual(draw(1, "af"));
  expect(draw(1, "af")).not.toEqual(draw(2, "af"));
  expect(draw(1, "af")).not.toEqual(draw(1, "am"));
});

test("quantiles are linear between order statistics", () => {
  expect(quantile([1, 2, 4], 0.5)).toBe(2);
  expect(quantile([1, 2, 4], 0.75)).toBe(3);
  expect(interval95(new Float64Array(0))).toBeNull();
});

test("a 95 % interval holds the true gain in about 95 of 100 experiments", () => {
  const experiments = 400;
  const examples = 60;
  const truth = 0.2;
  let held = 0;
  for (let k = 0; k < experiments; k++) {
    const random = randomStream(7, k);
    const tokens = new Float64Array(examples).fill(30);
    const base = Array.from({ length: examples }, () => 30 * (-3 + random.normal()));
    const candidate = base.map((x) => x + 30 * (truth + 0.4 * random.normal()));
    const drawn = resampleCurves(scores([1], base), scores([1], candidate), tokens, {
      resamples: 300,
      seed: k,
      key: "x",
    });
    const [low, high] = interval95(drawn.candidate.map((q, r) => q - drawn.baseline[r]))!;
    if (low <= truth && truth <= high) held++;
  }
  expect(held / experiments).toBeGreaterThan(0.9);
  expect(held / experiments).toBeLessThan(0.985);
});

test("a side of several runs has their mean, and its spread enters the draws", () => {
  const tokens = Float64Array.from([10, 10]);
  const runs = [...scores([1], [-10, -10]), ...scores([1], [-30, -30])];
  const options = { resamples: 400, seed: 0, key: "af" };
  const still = resampleCurves(runs, runs, tokens, options);
  expect(new Set(still.baseline)).toEqual(new Set([-2]));
  const shares = drawRuns(2, 400, 0, "baseline");
  const drawn = resampleCurves(runs, runs, tokens, { ...options, shares: { baseline: shares, candidate: shares } });
  expect(new Set(drawn.baseline).size).toBeGreaterThan(300);
  expect(drawn.candidate).toEqual(drawn.baseline);
  expect(drawRuns(1, 3, 0, "x")).toEqual([1, 1, 1].map((whole) => Float64Array.of(whole)));
});

test.each([2, 3, 5, 10])("the interval over %i runs is Student's t of their values", (n) => {
  const random = randomStream(3, n);
  const values = Array.from({ length: n }, () => random.normal());
  const { mean, interval } = seedMean(values)!;
  const means = drawRuns(n, 20000, 0, "x").map((shares) =>
    shares.reduce((sum, share, i) => sum + share * values[i], 0),
  );
  const drawn = interval95(Float64Array.from(means))!;
  for (const [i, end] of interval!.entries()) expect((drawn[i] - mean) / (end - mean)).toBeCloseTo(1, n === 2 ? 0 : 1);
});

test("the interval over three seeds holds the true mean in about 95 of 100 experiments", () => {
  const experiments = 400;
  let held = 0;
  for (let k = 0; k < experiments; k++) {
    const random = randomStream(11, k);
    const side = Array.from({ length: 3 }, () => scores([1], [random.normal()])[0]);
    const options = { resamples: 300, seed: k, key: "x" };
    const shares = drawRuns(3, 300, k, "x");
    const drawn = resampleCurves(side, side, Float64Array.of(1), {
      ...options,
      shares: { baseline: shares, candidate: shares },
    });
    const [low, high] = interval95(drawn.baseline)!;
    if (low <= 0 && 0 <= high) held++;
  }
  expect(held / experiments).toBeGreaterThan(0.91);
  expect(held / experiments).toBeLessThan(0.985);
});
