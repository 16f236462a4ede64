import { setImmediate as turnEventLoop } from "node:timers/promises";
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
  /** Looked at between batches, after the event loop has turned: the evaluation is then given up. */
  signal?: AbortSignal;
}

/**
 * The model's quality on every language's fixed validation examples, and which experts its tokens were routed to.
 *
 * A batch holds rows of one language only, and no others to fill it up: what a language's figure is does not depend on which other
 * languages are measured. A pure function of its arguments.
 *
 * @throws MswitchError where a log probability is not a finite number; the signal's reason where it was aborted on the way
 */
export async function evaluateModel(
  config: ModelConfig,
  params: Parameters,
  sets: readonly ValidationExamples[],
  step: number,
  { onProgress, signal }: EvaluateOptions = {},
): Promise<EvalPoint> {
  const total = sets.reduce((sum, { batchSize }) => sum + batchSize, 0);
  const languages: Record<string, LanguageQuality> = {};
  const routing = createRoutingTally();
  let done = 0;
  for (const set of sets) {
    const size = Math.min(Math.max(Math.floor(batchPositions / set.lengths.inputs), 1), mostRows);
    const logProbs: number[] = [];
    const tokens: number[] = [];
    for (let start = 0; start < set.batchSize; start += size) {
      const rows = Math.min(size, set.batchSize - start);
      const batch = await evaluateBatch(config, params, set, start, rows);
      logProbs.push(...batch.logProbs);
      tokens.push(...batch.tokens);
      for (const layer of batch.layers) routing.add(layer, set.language);
      done += rows;
      onProgress?.(done, total);
      // Signals are only heard when the event loop turns.
      await turnEventLoop();
      if (signal?.aborted) throw signal.reason;
    }
    languages[set.language] = languageQuality(logProbs, tokens, set.language, step);
  }
  return { step, languages, routing: routing.layers() };
}

interface LayerCounts {
  layer: string;
  /** Routed tokens that chose each expert, [experts]. */
  counts: number[];
  fractionDropped: number;
}

interface BatchResult {
  logProbs: ArrayLike<number> & Iterable<number>;
  tokens: ArrayLike<number> & Iterable<number>;
  layers: LayerCounts[];
}

/** Examples [start, start + rows) of a set. */
async function evaluateBatch(
  config: ModelConfig,
  params: Parameters,
  set: ValidationExamples,
  start: number,
  rows: number,
): Promise<BatchResult> {
  const rowsOf = (key: "inputs" | "targets"): tf.Tensor2D => {
    const length = set.lengths[key];
    return tf.tensor2d(set[key].slice(start * length, (start + rows) * length), [rows, length], "int32");
  };
  const batch = { inputs: rowsOf("inputs"), targets: rowsOf("targets") };
  const result = exampleLogProbs(config, params, batch);
  try {
    return {
      logProbs: await result.logProbs.data<"float32">(),
      tokens: await result.tokens.data<"float32">(),
      layers: await Promise.all(
        result.routing.map(async ({ layer, expertCounts, fractionDropped }) => ({
          layer,
          counts: sumRows(await expertCounts.data<"float32">(), expertCounts.shape[1]),
          fractionDropped: (await fractionDropped.data())[0],
        })),
      ),
    };
  } finally {
    disposeExampleLogProbs(result);
    tf.dispose([batch.inputs, batch.targets]);
  }
}

/** Sums of the columns of a matrix of `columns` columns. */
function sumRows(values: Float32Array, columns: number): number[] {
  const sums = new Array<number>(columns).fill(0);
  for (const [i, value] of values.entries()) sums[i % columns] += value;
  return sums;
}

function languageQuality(logProbs: number[], exampleTokens: number[], language: string, step: number): LanguageQuality {
  const bad = logProbs.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new MswitchError(`the model's quality in ${language} is not a number`, {
      code: "quality-not-finite",
      why: `the log probability of validation example ${bad} is ${logProbs[bad]} at step ${step}`,
      hint: "the run has diverged: lower its learning rate",
    });
  }
  // A ten-thousandth of a nat over an example is far below float32's own error, and keeps the file small.
  const exampleLogProbs = logProbs.map((value) => Math.round(value * 1e4) / 1e4);
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  return { negLogPerplexity: sum(exampleLogProbs) / sum(exampleTokens), exampleLogProbs, exampleTokens };
}

/** Adds up routed tokens by layer, language and expert. */
function createRoutingTally() {
  const tallies = new Map<string, { counts: Map<string, number[]>; dropped: number; routed: number }>();
  return {
    add({ layer, counts, fractionDropped }: LayerCounts, language: string): void {
      const tally = tallies.get(layer) ?? { counts: new Map<string, number[]>(), dropped: 0, routed: 0 };
      tallies.set(layer, tally);
      const before = tally.counts.get(language);
      tally.counts.set(
        language,
        counts.map((count, expert) => count + (before?.[expert] ?? 0)),
      );
      const routed = counts.reduce((sum, count) => sum + count, 0);
      tally.dropped += fractionDropped * routed;
      tally.routed += routed;
    },
    layers(): LayerRouting[] {
      return [...tallies].map(([layer, { counts, dropped, routed }]) => ({
        layer,
        expertShare: Object.fromEntries([...counts].map(([language, values]) => [language, shares(values)])),
        fractionDropped: round(dropped / routed),
      }));
    },
  };
}

/** Counts as shares that sum to 1. */
function shares(counts: number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => round(count / total));
}

const round = (share: number): number => Math.round(share * 1e6) / 1e6;
