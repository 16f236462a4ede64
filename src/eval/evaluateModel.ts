import * as tf from "@tensorflow/tfjs-core";
import { MswitchError } from "../base/errors.js";
import type { ModelConfig } from "../model/config.js";
import { disposeExampleLogProbs, exampleLogProbs } from "../model/exampleLogProbs.js";
import type { Parameters } from "../model/parameters.js";
import type { EvalPoint, LanguageQuality, LayerRouting } from "../run/runFiles.js";
import type { ValidationExamples } from "../stream/batch.js";

/** Encoder positions of one evaluation batch: small enough for any model that can be trained on the machine. */
const batchPositions = 4096;
const mostRows = 64;

export interface EvaluateOptions {
  /** Called after every batch. */
  onProgress?: (done: number, total: number) => void;
}

/** A row of an evaluation: example `index` of set `set`. */
interface Row {
  set: number;
  index: number;
}

/**
 * The model's quality on every language's fixed validation examples, and which experts its tokens were routed to.
 *
 * Batches have one fixed shape and mix languages as training does, so that a routing group is not filled by one language; the
 * rows that fill up the last batch repeat its last example and are left out of every figure. A pure function of its arguments.
 *
 * @throws MswitchError where a log probability is not a finite number
 */
export async function evaluateModel(
  config: ModelConfig,
  params: Parameters,
  sets: readonly ValidationExamples[],
  step: number,
  { onProgress }: EvaluateOptions = {},
): Promise<EvalPoint> {
  const rows = interleave(sets);
  if (rows.length === 0) return { step, languages: {}, routing: [] };
  const { inputs: inputLength } = sets[0].lengths;
  const size = Math.min(Math.max(Math.floor(batchPositions / inputLength), 1), mostRows, rows.length);
  const quality = sets.map(({ batchSize }) => ({
    logProbs: new Float64Array(batchSize),
    tokens: new Int32Array(batchSize),
  }));
  const routing = createRoutingTally(sets.length);
  for (let start = 0; start < rows.length; start += size) {
    const real = rows.slice(start, start + size);
    const batch = await evaluateBatch(config, params, sets, real, size);
    for (const [i, { set, index }] of real.entries()) {
      quality[set].logProbs[index] = batch.logProbs[i];
      quality[set].tokens[index] = batch.tokens[i];
    }
    for (const layer of batch.layers) routing.add(layer, real);
    onProgress?.(start + real.length, rows.length);
  }
  const languages = sets.map(({ language }, i) => [language, languageQuality(quality[i], language, step)] as const);
  return {
    step,
    languages: Object.fromEntries(languages),
    routing: routing.layers(sets.map(({ language }) => language)),
  };
}

/** All languages' first examples, then all second ones, … */
function interleave(sets: readonly ValidationExamples[]): Row[] {
  const rows: Row[] = [];
  const most = Math.max(0, ...sets.map(({ batchSize }) => batchSize));
  for (let index = 0; index < most; index++) {
    for (const [set, { batchSize }] of sets.entries()) if (index < batchSize) rows.push({ set, index });
  }
  return rows;
}

interface LayerCounts {
  layer: string;
  experts: number;
  /** Routed tokens of each row that chose each expert, [size, experts]. */
  counts: ArrayLike<number>;
  fractionDropped: number;
}

interface BatchResult {
  logProbs: ArrayLike<number>;
  tokens: ArrayLike<number>;
  layers: LayerCounts[];
}

async function evaluateBatch(
  config: ModelConfig,
  params: Parameters,
  sets: readonly ValidationExamples[],
  real: readonly Row[],
  size: number,
): Promise<BatchResult> {
  const gather = (key: "inputs" | "targets"): tf.Tensor2D => {
    const length = sets[0].lengths[key];
    const ids = new Int32Array(size * length);
    for (let i = 0; i < size; i++) {
      const { set, index } = real[Math.min(i, real.length - 1)];
      ids.set(sets[set][key].subarray(index * length, (index + 1) * length), i * length);
    }
    return tf.tensor2d(ids, [size, length], "int32");
  };
  const batch = { inputs: gather("inputs"), targets: gather("targets") };
  const result = exampleLogProbs(config, params, batch);
  try {
    return {
      logProbs: await result.logProbs.data(),
      tokens: await result.tokens.data(),
      layers: await Promise.all(
        result.routing.map(async ({ layer, expertCounts, fractionDropped }) => ({
          layer,
          experts: expertCounts.shape[1],
          counts: await expertCounts.data(),
          fractionDropped: (await fractionDropped.data())[0],
        })),
      ),
    };
  } finally {
    disposeExampleLogProbs(result);
    tf.dispose([batch.inputs, batch.targets]);
  }
}

function languageQuality(
  { logProbs, tokens }: { logProbs: Float64Array; tokens: Int32Array },
  language: string,
  step: number,
): LanguageQuality {
  const bad = logProbs.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new MswitchError(`the model's quality in ${language} is not a number`, {
      code: "quality-not-finite",
      why: `the log probability of validation example ${bad} is ${logProbs[bad]} at step ${step}`,
      hint: "the run has diverged: lower its learning rate",
    });
  }
  // A ten-thousandth of a nat over an example is far below float32's own error, and keeps the file small.
  const exampleLogProbs = Array.from(logProbs, (value) => Math.round(value * 1e4) / 1e4);
  const exampleTokens = Array.from(tokens);
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  return { negLogPerplexity: sum(exampleLogProbs) / sum(exampleTokens), exampleLogProbs, exampleTokens };
}

/** Adds up routed tokens by layer, language and expert. */
function createRoutingTally(languages: number) {
  const tallies = new Map<string, { counts: Float64Array; dropped: number; routed: number }>();
  return {
    add({ layer, experts, counts, fractionDropped }: LayerCounts, real: readonly Row[]): void {
      const tally = tallies.get(layer) ?? { counts: new Float64Array(languages * experts), dropped: 0, routed: 0 };
      tallies.set(layer, tally);
      let routed = 0;
      for (const [i, { set }] of real.entries()) {
        for (let e = 0; e < experts; e++) {
          tally.counts[set * experts + e] += counts[i * experts + e];
          routed += counts[i * experts + e];
        }
      }
      tally.dropped += fractionDropped * routed;
      tally.routed += routed;
    },
    layers(codes: readonly string[]): LayerRouting[] {
      return [...tallies].map(([layer, { counts, dropped, routed }]) => ({
        layer,
        expertShare: Object.fromEntries(codes.map((code, i) => [code, shares(counts, i, codes.length)])),
        fractionDropped: round(dropped / routed),
      }));
    },
  };
}

/** Language `index`'s part of a tally as shares that sum to 1. */
function shares(counts: Float64Array, index: number, languages: number): number[] {
  const experts = counts.length / languages;
  const mine = counts.subarray(index * experts, (index + 1) * experts);
  const total = mine.reduce((sum, count) => sum + count, 0);
  return Array.from(mine, (count) => round(count / total));
}

const round = (share: number): number => Math.round(share * 1e6) / 1e6;
