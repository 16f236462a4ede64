import { expect, test } from "vitest";
import type { MetricsLine } from "../run/runFiles.js";
import { trainClock } from "./trainClock.js";

const line = (step: number, trainSeconds: number): MetricsLine => ({
  step,
  trainSeconds,
  loss: 1,
  negLogPerplexity: -1,
  gradNorm: 1,
  learningRate: 1,
  tokensPerSecond: 1,
  dataWait: 0,
  flopsPerSecond: 1,
  memoryBytes: 1,
});

test("seconds are linear between lines, start at 0 and go on at the mean pace", () => {
  const seconds = trainClock([line(10, 30), line(20, 40)])!;
  expect([0, 5, 10, 15, 20, 40].map(seconds)).toEqual([0, 15, 30, 35, 40, 80]);
});

test("a step logged again after a resume counts as it was logged last", () => {
  const seconds = trainClock([line(10, 10), line(20, 20), line(10, 12), line(20, 30)])!;
  expect([10, 15, 20].map(seconds)).toEqual([12, 21, 30]);
});

test("without lines there is no clock", () => {
  expect(trainClock([])).toBeUndefined();
  expect(trainClock([line(0, 0)])).toBeUndefined();
});
