import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { memoryDataset } from "../../test/memoryDataset.js";
import { loadBackend } from "../backends/loadBackend.js";
import type { ModelConfig } from "../model/config.js";
import { disposeParameters, initParameters, type Parameters } from "../model/parameters.js";
import { createExampleStream } from "../stream/createExampleStream.js";
import type { Prefetcher } from "../stream/prefetch/prefetch.js";
import { type RunConfig, runConfigSchema } from "./config/runConfig.js";
import { isEvaluationDue, type Training, train } from "./loop.js";
import type { LogLine } from "./metrics.js";
import { createOptimizer, type Optimizer } from "./optimizer.js";
import { createTrainStep } from "./step.js";

const dataset = memoryDataset({ aa: { train: 5000 }, bb: { train: 3000 } });

const model: ModelConfig = {
  vocabSize: dataset.vocabulary.embeddingRows,
  dModel: 8,
  dKv: 4,
  dFf: 16,
  heads: 2,
  encoderLayers: 2,
  decoderLayers: 2,
  feedForward: "gated-gelu",
  tieEmbeddings: false,
  relativeBuckets: 32,
  relativeMaxDistance: 128,
  layerNormEpsilon: 1e-6,
  dropout: 0,
  init: { scheme: "truncated-normal", scale: 1 },
  precision: "float32",
  switch: {
    experts: 2,
    every: 2,
    capacity: { train: 1.25, evaluation: 2 },
    group: "batch",
    jitter: 0.01,
    auxLossWeight: 0.01,
    zLossWeight: 0,
    ignorePadding: false,
    expertDropout: 0,
  },
};

function pipelineOf(keys: Record<string, unknown>): RunConfig {
  return {
    ...runConfigSchema.parse({
      ...{ dataset: "d", run: "r", model: { preset: "tiny" }, stream: { batchSize: 4, inputLength: 16 }, steps: 6 },
      ...{
        optimizer: { learningRate: { schedule: "constant", base: 0.02 } },
        logEvery: 1,
        checkpoints: { every: 100 },
      },
      ...keys,
    }),
    name: "test",
  };
}

let params: Parameters;
let optimizer: Optimizer;
beforeAll(async () => {
  await loadBackend("cpu");
});
beforeEach(() => {
  params = initParameters(model, 0);
  optimizer = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 128 });
});
afterEach(() => {
  optimizer.dispose();
  disposeParameters(params);
});

interface Watched {
  lines: LogLine[];
  evaluations: number[];
  checkpoints: number[];
  tensors: number[];
}

function training(config: RunConfig, watched: Watched, rest: Partial<Training> = {}): Training {
  const { seed, stream } = config;
  const examples = createExampleStream(dataset, { seed, ...stream });
  let step = rest.startStep ?? 0;
  const batches: Prefetcher = { next: async () => examples.batch(step++), close: async () => undefined };
  return {
    trainStep: createTrainStep({ model, params, optimizer, seed, run: config.run }),
    ...{ config, batches, startStep: 0, startSeconds: 0 },
    evaluate: async (at) => ({ step: at, languages: {}, routing: [] }),
    isEvaluated: () => false,
    onStep: () => undefined,
    metricsWriter: {
      async line(line) {
        watched.lines.push(line);
        watched.tensors.push(tf.memory().numTensors);
      },
      async evaluation({ step: at }) {
        watched.evaluations.push(at);
      },
      close: async () => undefined,
    },
    async writeCheckpoint(at) {
      watched.checkpoints.push(at);
    },
    isShared: false,
    signal: new AbortController().signal,
    ...rest,
  };
}

const nothing = (): Watched => ({ lines: [], evaluations: [], checkpoints: [], tensors: [] });

async function weights(): Promise<number[][]> {
  return Promise.all([...params.values()].map(async (value) => [...(await value.data())]));
}

test("the loss falls, time adds up, and no tensor is left behind", async () => {
  const watched = nothing();
  expect(await train(training(pipelineOf({ steps: 30 }), watched, { startSeconds: 100 }))).toBe(30);
  const losses = watched.lines.map(({ loss }) => loss);
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)) - 0.05);
  expect(new Set(watched.tensors).size).toBe(1);
  for (const [i, line] of watched.lines.entries()) {
    expect(line.trainSeconds).toBeGreaterThan(i === 0 ? 100 : watched.lines[i - 1].trainSeconds!);
    expect(line.expertLoadMin! + line.expertLoadMax!).toBeGreaterThan(0);
    expect(line.expertLoadEntropy!).toBeLessThanOrEqual(Math.log(2) + 1e-6);
    expect(line.gradNorm).toBeGreaterThan(0);
  }
});

test("evaluations and checkpoints come when they are due, each with a line of its step", async () => {
  const watched = nothing();
  const config = pipelineOf({ logEvery: 100, evaluation: { every: 4 }, checkpoints: { every: 3 } });
  await train(training(config, watched));
  expect(watched.evaluations).toEqual([0, 4, 6]);
  expect(watched.checkpoints).toEqual([3, 6]);
  expect(watched.lines.map(({ step }) => step)).toEqual([1, 3, 4, 6]);
  expect(watched.lines.map(({ steps }) => steps)).toEqual([1, 2, 1, 2]);
});

test("evaluation at a list of steps", () => {
  const config = pipelineOf({ evaluation: { every: [2, 5] } });
  expect([0, 1, 2, 3, 4, 5, 6].filter((step) => isEvaluationDue(config, step))).toEqual([0, 2, 5, 6]);
});

test("a run that goes on does the same steps as one that never stopped", async () => {
  await train(training(pipelineOf({}), nothing()));
  const expected = await weights();
  optimizer.dispose();
  disposeParameters(params);
  params = initParameters(model, 0);
  optimizer = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 128 });
  const controller = new AbortController();
  const watched = nothing();
  const stopAt3 = training(pipelineOf({}), watched, { signal: controller.signal });
  const { next } = stopAt3.batches;
  let taken = 0;
  stopAt3.batches.next = () => {
    if (++taken === 3) controller.abort();
    return next();
  };
  expect(await train(stopAt3)).toBe(3);
  expect(watched.checkpoints).toEqual([3]);
  expect(watched.lines.at(-1)?.step).toBe(3);
  await train(training(pipelineOf({}), watched, { startStep: 3 }));
  expect(await weights()).toEqual(expected);
});

test("what is not finite stops the run before the weights are touched", async () => {
  const value = params.get("shared.weight")!;
  value.assign(tf.tidy(() => tf.fill(value.shape, Number.NaN)));
  const before = await weights();
  const watched = nothing();
  await expect(train(training(pipelineOf({}), watched))).rejects.toMatchObject({ code: "loss-not-finite" });
  expect(await weights()).toEqual(before);
  expect(watched.checkpoints).toEqual([]);
});
