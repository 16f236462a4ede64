import { setImmediate as turnEventLoop } from "node:timers/promises";
import * as tf from "@tensorflow/tfjs-core";
import { deviceMemory } from "../backends/deviceMemory.js";
import { MswitchError } from "../base/errors.js";
import type { ModelConfig } from "../model/config.js";
import { disposeExampleLogProbs, exampleLogProbs } from "../model/exampleLogProbs.js";
import type { ModelGroups } from "../model/modelGroups.js";
import type { Parameters } from "../model/parameters.js";
import type { EvalPoint, LanguageQuality, LayerRouting } from "../run/runFiles.js";
import type { ValidationExamples } from "../stream/batch.js";

/**
 * Encoder positions and rows of one evaluation batch: small enough for any model that can be trained on the machine, and for a device enough
 * to be kept busy.
 */
const batchLimits = { cpu: { positions: 4096, rows: 64 }, device: { positions: 32_768, rows: 256 } };

/** Examples of a language that are also read with another's source: `sourceUse`. */
const sourceUseExamples = 8;

export interface EvaluateOptions {
  /** Also count what is written right greedily: `exactMatch` and `tokenAccuracy` of each language. For text-to-text pairs. */
  withMatches?: boolean;
  /** Called after every batch. */
  onProgress?: (done: number, total: number) => void;
  /** Looked at between batches, after the event loop has turned: the evaluation is then given up. */
  signal?: AbortSignal;
  /** Over whom the model is split: all of these ranks evaluate together, those of `expert` different rows, and all get the same result. */
  groups?: ModelGroups;
}

/** Another rank that evaluates the same model was asked to stop. */
export class EvaluationGivenUp extends Error {}

/**
 * The model's quality on every language's fixed validation examples, how much of it comes from reading their sources, and which
 * experts its tokens were routed to.
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
  { onProgress, signal, withMatches = false, groups }: EvaluateOptions = {},
): Promise<EvalPoint> {
  const swappedSets = sets.map(withSwappedSources);
  const total = [...sets, ...swappedSets].reduce((sum, set) => sum + (set?.batchSize ?? 0), 0);
  const languages: Record<string, LanguageQuality> = {};
  const routing = createRoutingTally();
  let done = 0;
  const score = async (
    set: ValidationExamples,
    onLayer?: (layer: LayerCounts) => void,
    withHits = false,
  ): Promise<Scores> => {
    const { positions, rows: mostRows } = deviceMemory() ? batchLimits.device : batchLimits.cpu;
    const size = Math.min(Math.max(Math.floor(positions / set.lengths.inputs), 1), mostRows);
    const scores: Scores = { logProbs: [], tokens: [], hits: [] };
    for (let start = 0; start < set.batchSize; start += size) {
      const rows = Math.min(size, set.batchSize - start);
      const batch = await evaluateBatch(config, params, { set, start, rows, withHits, groups });
      scores.logProbs.push(...batch.logProbs);
      scores.tokens.push(...batch.tokens);
      scores.hits.push(...batch.hits);
      for (const layer of batch.layers) onLayer?.(layer);
      done += rows;
      onProgress?.(done, total);
      // Signals are only heard when the event loop turns.
      await turnEventLoop();
      if (groups && isAnyStopping(signal, groups)) throw new EvaluationGivenUp();
      if (signal?.aborted) throw signal.reason;
    }
    return scores;
  };
  for (const [i, set] of sets.entries()) {
    const own = await score(set, (layer) => routing.add(layer, set.language), withMatches);
    const measured = languageQuality(own, set.language, step);
    const quality = withMatches ? { ...measured, metrics: matchesOf(own) } : measured;
    const other = swappedSets[i];
    languages[set.language] = other ? { ...quality, sourceUse: sourceUse(own, await score(other)) } : quality;
  }
  return { step, languages, routing: routing.layers() };
}

/** Of each example: summed log probability and number of its target tokens. */
interface Scores {
  logProbs: number[];
  tokens: number[];
  /** Targets that are the likeliest token in their place; empty where not asked for. */
  hits: number[];
}

/** Shares of examples written greedily token for token, and of tokens that are the likeliest after the right ones before them. */
function matchesOf({ tokens, hits }: Scores): Record<string, number> {
  const exact = hits.filter((count, i) => count === tokens[i]).length;
  return { exactMatch: round(exact / hits.length), tokenAccuracy: round(sum(hits) / sum(tokens)) };
}

/** A language's first examples, each with the source of the next of them; undefined where there is no other. */
function withSwappedSources(set: ValidationExamples): ValidationExamples | undefined {
  const { lengths, inputs, targets } = set;
  const batchSize = Math.min(set.batchSize, sourceUseExamples);
  if (batchSize < 2) return undefined;
  const others = new Int32Array(batchSize * lengths.inputs);
  others.set(inputs.subarray(lengths.inputs, batchSize * lengths.inputs));
  others.set(inputs.subarray(0, lengths.inputs), (batchSize - 1) * lengths.inputs);
  return { ...set, batchSize, inputs: others, targets: targets.slice(0, batchSize * lengths.targets) };
}

/** What the right source is worth: nats a target token that are lost with another source, over the examples that had both. */
function sourceUse(own: Scores, swapped: Scores): number {
  const lost = sum(own.logProbs.slice(0, swapped.logProbs.length)) - sum(swapped.logProbs);
  return Math.round((lost / sum(swapped.tokens)) * 1e4) / 1e4;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
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
  hits: Iterable<number>;
  layers: LayerCounts[];
}

interface EvaluatedRows {
  set: ValidationExamples;
  start: number;
  rows: number;
  withHits: boolean;
  groups: ModelGroups | undefined;
}

/** Examples [start, start + rows) of a set. */
async function evaluateBatch(
  config: ModelConfig,
  params: Parameters,
  { set, start, rows, withHits, groups }: EvaluatedRows,
): Promise<BatchResult> {
  // The ranks of a split model compute as many rows each; the last ones may be empty.
  const { rank, size } = groups?.expert ?? { rank: 0, size: 1 };
  const share = Math.ceil(rows / size);
  const rowsOf = (key: "inputs" | "targets"): tf.Tensor2D => {
    const length = set.lengths[key];
    const own = new Int32Array(share * length);
    own.set(
      set[key].slice(
        (start + Math.min(rank * share, rows)) * length,
        (start + Math.min((rank + 1) * share, rows)) * length,
      ),
    );
    return tf.tensor2d(own, [share, length], "int32");
  };
  const batch = { inputs: rowsOf("inputs"), targets: rowsOf("targets") };
  const result = exampleLogProbs(config, params, batch, withHits, groups);
  /** Of all ranks in order. */
  const values = async (x: tf.Tensor | undefined): Promise<Float32Array> => {
    if (!x) return new Float32Array();
    if (!groups || size === 1) return x.data<"float32">();
    const gathered = groups.expert.collective("gather", x);
    const all = await gathered.data<"float32">();
    gathered.dispose();
    return all;
  };
  try {
    const layers: LayerCounts[] = [];
    for (const { layer, expertCounts, fractionDropped } of result.routing) {
      const counts = await values(expertCounts);
      const ofRank = counts.length / size;
      const routed = Array.from({ length: size }, (_, i) => sum([...counts.subarray(i * ofRank, (i + 1) * ofRank)]));
      const dropped = [...(await values(fractionDropped))].map((fraction, i) => fraction * routed[i]);
      layers.push({
        layer,
        counts: sumRows(counts, expertCounts.shape[1]),
        fractionDropped: size === 1 ? (await fractionDropped.data())[0] : sum(dropped) / Math.max(sum(routed), 1),
      });
    }
    return {
      logProbs: (await values(result.logProbs)).subarray(0, rows),
      tokens: (await values(result.tokens)).subarray(0, rows),
      hits: (await values(result.hits)).subarray(0, rows),
      layers,
    };
  } finally {
    disposeExampleLogProbs(result);
    tf.dispose([batch.inputs, batch.targets]);
  }
}

/** Whether any rank of a split model was asked to stop: all of them give up after the same batch. */
function isAnyStopping(signal: AbortSignal | undefined, { expert, model }: ModelGroups): boolean {
  return tf.tidy(() => {
    let stopping: tf.Tensor = tf.scalar(signal?.aborted ? 1 : 0);
    for (const group of [expert, model]) if (group.size > 1) stopping = group.collective("max", stopping);
    return stopping.dataSync()[0] > 0;
  });
}

/** Sums of the columns of a matrix of `columns` columns. */
function sumRows(values: Float32Array, columns: number): number[] {
  const sums = new Array<number>(columns).fill(0);
  for (const [i, value] of values.entries()) sums[i % columns] += value;
  return sums;
}

function languageQuality({ logProbs, tokens }: Scores, language: string, step: number): LanguageQuality {
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
  return { negLogPerplexity: sum(exampleLogProbs) / sum(tokens), exampleLogProbs, exampleTokens: tokens };
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
