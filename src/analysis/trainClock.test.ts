import { expect, test } from "vitest";
import type { MetricsLine } from "../run/runFiles.js";
import { trainClock } from "./trainClock.js";

const line = (step: number, trainSeconds?: number): MetricsLine => ({
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

test("seconds are linear between evaluations and start at 0", () => {
  const seconds = trainClock([line(5, 1), line(10, 30), line(20, 40)], [0, 10, 20])!;
  expect([0, 5, 10, 15, 20, 40].map(seconds)).toEqual([0, 15, 30, 35, 40, Number.NaN]);
});

test("a step logged again after a resume counts as it was logged last", () => {
  const seconds = trainClock([line(10, 10), line(20, 20), line(10, 12), line(20, 30)], [0, 10, 20])!;
  expect([10, 15, 20].map(seconds)).toEqual([12, 21, 30]);
});

test("beside an evaluation whose time is lost nothing is known, elsewhere all is", () => {
  const seconds = trainClock([line(10, 10), line(20), line(40, 40)], [0, 10, 20, 30, 40])!;
  expect([5, 10, 15, 20, 25, 30, 35, 40].map(seconds)).toEqual([5, 10, NaN, NaN, NaN, NaN, NaN, 40]);
});

test("times that do not rise are not believed", () => {
  expect(trainClock([line(10, 10), line(20, 9)], [0, 10, 20])!(10)).toBeNaN();
});

test("without times there is no clock", () => {
  expect(trainClock([], [0, 10])).toBeUndefined();
  expect(trainClock([line(0, 0), line(5, 5)], [0, 10])).toBeUndefined();
});
