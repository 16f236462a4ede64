import { expect, test } from "vitest";
import { randomStream } from "../base/random.js";
import { seedMean } from "./seeds.js";

test("a mean of few seeds has Student's interval, one seed has none", () => {
  expect(seedMean([])).toBeNull();
  expect(seedMean([2])).toEqual({ mean: 2, deviation: null, interval: null, seeds: 1 });
  const { mean, deviation, interval } = seedMean([1, 2, 3])!;
  expect([mean, deviation]).toEqual([2, 1]);
  // t with 2 degrees of freedom, 4.303, over √3.
  expect(interval![1]).toBeCloseTo(2 + 4.303 / Math.sqrt(3), 6);
});

test("the interval of three seeds holds the truth in about 95 of 100 experiments", () => {
  const random = randomStream(1, "seeds");
  const held = Array.from({ length: 2000 }, () => {
    const [low, high] = seedMean([random.normal(), random.normal(), random.normal()])!.interval!;
    return low <= 0 && high >= 0;
  }).filter(Boolean).length;
  expect(held / 2000).toBeGreaterThan(0.93);
  expect(held / 2000).toBeLessThan(0.97);
});
