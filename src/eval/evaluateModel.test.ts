import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBackend } from "../backends/loadBackend.js";
import { randomStream } from "../base/random.js";
import type { ModelConfig } from "../model/config.js";
import { disposeExampleLogProbs, exampleLogProbs } from "../model/exampleLogProbs.js";
import { disposeParameters, initParameters, type Parameters } from "../model/parameters.js";
import { preset } from "../model/presets.js";
import type { ValidationExamples } from "../stream/batch.js";
import { evaluateModel } from "./evaluateModel.js";

const lengths = { inputs: 16, tokens: 15, targets: 8 };
const small = { vocabSize: 128, dModel: 16, dKv: 8, dFf: 16, heads: 2 };
const base = preset("tiny-switch");
const config: ModelConfig = { ...base, ...small, switch: { ...base.switch!, experts: 4, group: "sequence" } };

/** Examples of a language, some shorter than others. */
function examplesOf(language: string, batchSize: number): ValidationExamples {
  const random = randomStream("examples", language);
  const fill = (length: number): Int32Array => {
    const ids = new Int32Array(batchSize * length);
    for (let row = 0; row < batchSize; row++) {
      const real = Math.max(2, length - (row % 9));
      for (let i = 0; i < real; i++) ids[row * length + i] = 2 + random.integer(100);
    }
    return ids;
  };
  return { language, batchSize, lengths, inputs: fill(lengths.inputs), targets: fill(lengths.targets) };
}

// A batch holds at most 64 rows of one language.
const sets = [examplesOf("af", 70), examplesOf("am", 10), examplesOf("ja", 20)];
let params: Parameters;

beforeAll(async () => {
  await loadBackend(process.env.MSWITCH_TEST_DEVICE ?? "wasm");
  params = initParameters(config, 1);
});
afterAll(() => disposeParameters(params));

describe("evaluateModel", () => {
  test("gives each example what the model gives it alone", async () => {
    const tensors = tf.memory().numTensors;
    const progress: number[] = [];
    const point = await evaluateModel(config, params, sets, 7, { onProgress: (done) => progress.push(done) });
    expect(tf.memory().numTensors).toBe(tensors);
    // Each language's examples, then 8 of them with another's source.
    expect(progress).toEqual([64, 70, 78, 88, 96, 116, 124]);
    expect(point.step).toBe(7);
    expect(Object.keys(point.languages)).toEqual(["af", "am", "ja"]);
    for (const { language, batchSize, inputs, targets } of sets) {
      const quality = point.languages[language];
      const batch = {
        inputs: tf.tensor2d(inputs, [batchSize, lengths.inputs], "int32"),
        targets: tf.tensor2d(targets, [batchSize, lengths.targets], "int32"),
      };
      const alone = exampleLogProbs(config, params, batch);
      const [logProbs, tokens] = [alone.logProbs.dataSync(), alone.tokens.dataSync()];
      expect(quality.exampleTokens).toEqual([...tokens]);
      for (const [i, value] of quality.exampleLogProbs.entries()) expect(value).toBeCloseTo(logProbs[i], 2);
      const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);
      expect(quality.negLogPerplexity).toBeCloseTo(sum(quality.exampleLogProbs) / sum(tokens), 12);
      disposeExampleLogProbs(alone);
      tf.dispose([batch.inputs, batch.targets]);
    }
  });

  test("gives a language the same figures alone as with others", async () => {
    const all = await evaluateModel(config, params, sets, 0);
    for (const set of sets) {
      const alone = await evaluateModel(config, params, [set], 0);
      expect(alone.languages[set.language]).toEqual(all.languages[set.language]);
      expect(alone.routing.map(({ expertShare }) => expertShare[set.language])).toEqual(
        all.routing.map(({ expertShare }) => expertShare[set.language]),
      );
    }
  });

  test("is given up between two batches when the signal says so", async () => {
    const tensors = tf.memory().numTensors;
    const controller = new AbortController();
    const progress: number[] = [];
    const onProgress = (done: number): void => {
      progress.push(done);
      // What a signal's handler does: it is heard when the event loop turns.
      if (done === 70) setTimeout(() => controller.abort("SIGTERM"), 0);
    };
    const options = { onProgress, signal: controller.signal };
    await expect(evaluateModel(config, params, sets, 0, options)).rejects.toBe("SIGTERM");
    expect(progress.length).toBeLessThan(4);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  test("says what the right source is worth, on the first 8 examples with the next one's source", async () => {
    const point = await evaluateModel(config, params, sets, 0);
    for (const { language, inputs, targets } of sets) {
      const rows = 8;
      const own = tf.tensor2d(inputs.slice(0, rows * lengths.inputs), [rows, lengths.inputs], "int32");
      const next = tf.concat2d([tf.slice2d(own, [1, 0], [-1, -1]), tf.slice2d(own, [0, 0], [1, -1])], 0);
      const batch = {
        targets: tf.tensor2d(targets.slice(0, rows * lengths.targets), [rows, lengths.targets], "int32"),
      };
      const [mine, swapped] = [own, next].map((source) =>
        exampleLogProbs(config, params, { ...batch, inputs: source }),
      );
      const lost = (tf.sum(mine.logProbs).dataSync()[0] - tf.sum(swapped.logProbs).dataSync()[0]) as number;
      expect(point.languages[language].sourceUse).toBeCloseTo(lost / tf.sum(mine.tokens).dataSync()[0], 3);
      for (const result of [mine, swapped]) disposeExampleLogProbs(result);
      tf.dispose([own, next, batch.targets]);
    }
    const single = await evaluateModel(config, params, [examplesOf("zu", 1)], 0);
    expect(single.languages.zu).not.toHaveProperty("sourceUse");
  });

  test("counts each language's real tokens at every expert of every Switch layer", async () => {
    const { routing } = await evaluateModel(config, params, sets, 0);
    expect(routing.map(({ layer }) => layer)).toEqual(["encoder.1", "decoder.1"]);
    for (const { expertShare, fractionDropped } of routing) {
      expect(fractionDropped).toBe(0);
      expect(Object.keys(expertShare)).toEqual(["af", "am", "ja"]);
      for (const share of Object.values(expertShare)) {
        expect(share).toHaveLength(4);
        expect(share.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      }
    }
  });

  test("counts dropped tokens where the model has a capacity in evaluation", async () => {
    const tight: ModelConfig = {
      ...config,
      switch: { ...config.switch!, group: "batch", capacity: { train: 1, evaluation: 0.5 } },
    };
    const { routing } = await evaluateModel(tight, params, sets, 0);
    for (const { fractionDropped } of routing) {
      expect(fractionDropped).toBeGreaterThan(0.1);
      expect(fractionDropped).toBeLessThan(1);
    }
  });

  test("is the same each time, and empty of routing for a dense model", async () => {
    const dense: ModelConfig = { ...config, switch: null };
    const weights = initParameters(dense, 1);
    const first = await evaluateModel(dense, weights, sets.slice(1), 0);
    expect(first.routing).toEqual([]);
    expect(await evaluateModel(dense, weights, sets.slice(1), 0)).toEqual(first);
    disposeParameters(weights);
  });

  test("refuses a model that has diverged, and has nothing to say about no examples", async () => {
    const broken = initParameters(config, 1);
    for (const variable of broken.values()) variable.assign(tf.fill(variable.shape, Number.NaN));
    await expect(evaluateModel(config, broken, sets, 5)).rejects.toMatchObject({ code: "quality-not-finite" });
    disposeParameters(broken);
    expect(await evaluateModel(config, params, [], 3)).toEqual({ step: 3, languages: {}, routing: [] });
  });
});
