import { expect, test } from "vitest";
import { formatMetrics, toMetricsLine, trainingFaults } from "./metrics.js";
import { createStepClock } from "./stepClock.js";

const base = { step: 120, loss: 5.12345, negLogPerplexity: -5.1021, gradNorm: 1.834, learningRate: 0.01 };

test("a dense step's line has no word of experts", () => {
  const line = {
    ...base,
    trainSeconds: 60,
    tokensPerSecond: 1234.4,
    flopsPerSecond: 12.34e9,
    dataWait: 0.001,
    memoryBytes: 2 ** 30,
  };
  expect(formatMetrics(line, 1000, 192).full).toBe(
    "step 120/1000 loss 5.1235 nlp -5.1021 lr 0.0100 grad 1.83 1,234 tok/s 12.3 GFLOP/s mem 1.07 GB wait 0.1% eta 3m12s",
  );
});

test("a sparse step's line tells balance, drops and load", () => {
  const sparse = { auxLoss: 0.0213, zLoss: 0, fractionDropped: 0.004, expertLoadMin: 0.08, expertLoadMax: 0.19 };
  const line = toMetricsLine(
    { ...base, ...sparse, trainSeconds: 60, steps: 10, seconds: 2, dataWait: 0 },
    { tokensPerStep: 100, flopsPerStep: 1e6 },
  );
  expect(line).toMatchObject({ tokensPerSecond: 500, flopsPerSecond: 5e6 });
  expect(formatMetrics(line, 1000, 1).full).toContain("aux 0.0213 drop 0.4% load 0.08-0.19 lr");
});

test("a long run's brief line has room on a terminal of 80 columns", () => {
  const sparse = { auxLoss: 0.0213, zLoss: 0, fractionDropped: 0.134, expertLoadMin: 0.08, expertLoadMax: 0.19 };
  const times = { trainSeconds: 60, steps: 10, seconds: 2, dataWait: 0 };
  const line = toMetricsLine({ ...base, ...sparse, ...times, step: 99_999 }, { tokensPerStep: 1e5, flopsPerStep: 1e6 });
  const { brief } = formatMetrics(line, 100_000, 192_000);
  expect(brief).toBe("step 99999/100000 loss 5.1235 drop 13.4% load 0.08-0.19 500,000 tok/s eta 2d05h");
  expect(brief.length).toBeLessThanOrEqual(80);
});

test("a collapsed router, dropped tokens and a gradient of 0 are faults", () => {
  const line = { ...base, tokensPerSecond: 1, flopsPerSecond: 1, dataWait: 0, memoryBytes: 1 };
  const sound = { ...line, expertLoadMax: 0.6, fractionDropped: 0.4 };
  expect(trainingFaults(sound, 8)).toEqual([]);
  expect(trainingFaults(line, 0)).toEqual([]);
  expect(trainingFaults({ ...sound, expertLoadMax: 0.93 }, 8)).toEqual([expect.stringContaining("router collapse")]);
  // One expert alone has all there is.
  expect(trainingFaults({ ...sound, expertLoadMax: 1 }, 1)).toEqual([]);
  expect(trainingFaults({ ...sound, fractionDropped: 0.51 }, 8)).toEqual([expect.stringContaining("51 %")]);
  expect(trainingFaults({ ...line, gradNorm: 0 }, 0)).toEqual([expect.stringContaining("gradient is 0")]);
});

test("the clock leaves out what is between steps, and starts anew with each stretch", async () => {
  let time = 0;
  const clock = createStepClock(100, () => time);
  const step = async (wait: number, work: number): Promise<void> => {
    clock.begin();
    const data = clock.waiting(Promise.resolve());
    time += wait;
    await data;
    time += work;
    clock.end();
  };
  await step(500, 1500);
  time += 60_000;
  await step(500, 1500);
  expect(clock.trainSeconds).toBe(104);
  expect(clock.stretch()).toEqual({ steps: 2, seconds: 4, dataWait: 0.25 });
  await step(0, 1000);
  expect(clock.stretch()).toEqual({ steps: 1, seconds: 1, dataWait: 0 });
  expect(clock.trainSeconds).toBe(105);
});
