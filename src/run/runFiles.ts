import * as z from "zod";
import { parseCheckedLine } from "../base/checkedLine.js";

/**
 * The files of a run directory that outlive it as plain data. `train` writes them, `report` reads them; nothing else is shared.
 *
 *   metrics.jsonl                 one MetricsLine a logged step
 *   eval/step-00001000.json       one EvalPoint an evaluation
 *   run.json                      one RunDescription, written before the first step
 */

/** Files of a run directory, relative to it. */
export const runFile = {
  description: "run.json",
  metrics: "metrics.jsonl",
  evalDirectory: "eval",
  evalPoint: (step: number): string => `eval/${evalPointName(step)}`,
  config: "config.yaml",
  environment: "environment.json",
  /** One EvalPoint: the teacher on the run's own examples. */
  teacher: "teacher.json",
} as const;

/** `step-00001000.json`: sorts by step up to a hundred million steps. */
function evalPointName(step: number): string {
  return `step-${String(step).padStart(8, "0")}.json`;
}

export type TrainingCommand = "pretrain" | "finetune" | "distill";

/** Which command trains what a run's file describes. */
export function commandOf(config: { teacher?: unknown; objective?: unknown }): TrainingCommand {
  if (config.teacher !== undefined) return "distill";
  return config.objective === "pairs" ? "finetune" : "pretrain";
}

const code = z.string();

/** One language at one evaluation, over the same fixed examples each time. */
export const languageQualitySchema = z.strictObject({
  /** Mean log probability per target token, natural log, higher is better: −cross-entropy. */
  negLogPerplexity: z.number(),
  /**
   * What the source is worth: the negative log perplexity on the first examples less that on the same targets with the next
   * example of the language as their source, nats a target token. About 0: the decoder does not read its source. Absent where the
   * language has a single example, and in evaluations of older versions.
   */
  sourceUse: z.number().optional(),
  /** Of a task: what was made of the outputs for these examples (`exactMatch`, …): 0 to 1, chrF 0 to 100; absent where nothing was measured. */
  metrics: z.record(z.string(), z.number()).optional(),
  /** Summed log probability of each example's targets, in order. */
  exampleLogProbs: z.array(z.number()),
  /** Target tokens of each example, in order. */
  exampleTokens: z.array(z.int()),
});
export type LanguageQuality = z.infer<typeof languageQualitySchema>;

/** The routing seen at one Switch layer during an evaluation. */
export const layerRoutingSchema = z.strictObject({
  /** `encoder.1`, `decoder.3`, … */
  layer: z.string(),
  /** By language code: share of that language's tokens that each expert was chosen for, [experts], sums to 1. */
  expertShare: z.record(code, z.array(z.number())),
  /** Share of tokens that found their expert full, over all languages. */
  fractionDropped: z.number(),
});
export type LayerRouting = z.infer<typeof layerRoutingSchema>;

/** `eval/step-*.json`. Deterministic: no clock in it. */
export const evalPointSchema = z.strictObject({
  step: z.int().nonnegative(),
  languages: z.record(code, languageQualitySchema),
  /** Empty for a dense model. */
  routing: z.array(layerRoutingSchema),
});
export type EvalPoint = z.infer<typeof evalPointSchema>;

/** The mean source use over those languages (of `codes`, where given) that have one; null where none has. */
export function meanSourceUse(languages: EvalPoint["languages"], codes = Object.keys(languages)): number | null {
  const known = codes.map((code) => languages[code].sourceUse).filter((value) => value !== undefined);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Means over the languages of each of their metrics. */
export function meanMetrics(languages: EvalPoint["languages"]): Record<string, number> {
  const values = new Map<string, number[]>();
  for (const { metrics = {} } of Object.values(languages)) {
    for (const [metric, value] of Object.entries(metrics)) values.set(metric, [...(values.get(metric) ?? []), value]);
  }
  const mean = (all: number[]): number => all.reduce((sum, value) => sum + value, 0) / all.length;
  return Object.fromEntries([...values].map(([metric, all]) => [metric, mean(all)]));
}

/** A line of `metrics.jsonl`. Unknown numbers are absent, never 0. */
export const metricsLineSchema = z.object({
  step: z.int().nonnegative(),
  /**
   * Training time since the start of the run, evaluation and checkpoints not counted, over all its processes. Seconds. Absent where a
   * process went on from a checkpoint whose time is lost.
   */
  trainSeconds: z.number().optional(),
  /** Total loss (cross-entropy and weighted auxiliary losses). */
  loss: z.number(),
  negLogPerplexity: z.number(),
  /** With a teacher: cross-entropy with its probabilities, nats a target token. */
  distillationLoss: z.number().optional(),
  auxLoss: z.number().optional(),
  zLoss: z.number().optional(),
  fractionDropped: z.number().optional(),
  expertLoadMin: z.number().optional(),
  expertLoadMax: z.number().optional(),
  /** In nats, ln(experts) where balanced; mean over layers. */
  expertLoadEntropy: z.number().optional(),
  meanGateProbability: z.number().optional(),
  gradNorm: z.number(),
  learningRate: z.number(),
  tokensPerSecond: z.number(),
  /** Share of the time spent waiting for a batch. */
  dataWait: z.number(),
  flopsPerSecond: z.number(),
  /** Resident memory of the process, bytes. */
  memoryBytes: z.number(),
  /** Of the accelerator: what tensors hold, and the most that they held since the process began. Absent on the CPU. */
  deviceMemoryBytes: z.number().optional(),
  devicePeakMemoryBytes: z.number().optional(),
});
export type MetricsLine = z.infer<typeof metricsLineSchema>;

/** What is left of a metrics file. */
export interface MetricsFile {
  /** Whole lines, in the file's order. */
  lines: MetricsLine[];
  /** Numbers, from 1, of those that are damaged and left out. */
  damaged: number[];
}

/**
 * Reads the text of `metrics.jsonl`, lines of `formatCheckedLine`. A damaged line costs no other. What has no line end at the end of
 * the file is what a killed process had begun to write: it is not there, and no damage.
 */
export function parseMetrics(text: string): MetricsFile {
  const file: MetricsFile = { lines: [], damaged: [] };
  for (const [i, line] of text.split("\n").slice(0, -1).entries()) {
    const parsed = metricsLineSchema.safeParse(parseCheckedLine(line));
    if (parsed.success) file.lines.push(parsed.data);
    else file.damaged.push(i + 1);
  }
  return file;
}

/** `run.json`: what the report needs to know of a run besides its measurements. */
export const runDescriptionSchema = z.strictObject({
  name: z.string(),
  /** `mT5` or `Switch-mT5, 8 experts`. */
  model: z.string(),
  experts: z.int().nonnegative(),
  parameters: z.int(),
  /** Of the dense twin, besides embeddings; runs of before November 2026 do not say it. */
  activeParameters: z.int().optional(),
  /** Forward and backward, multiplications and additions, of one optimizer step. */
  flopsPerStep: z.number(),
  tokensPerStep: z.int(),
  totalSteps: z.int(),
  backend: z.string(),
  /** Dataset's vocabulary fingerprint and manifest hash: runs are only compared where both agree. */
  vocabulary: z.string(),
  dataset: z.string(),
  /** Hash of the evaluation's examples. */
  evalExamples: z.string(),
  seed: z.int(),
  /** Epochs read of each language by the end of the run. */
  epochs: z.record(code, z.number()),
  /** Of a distilled model: what its probabilities were taken from, and its part in the loss. */
  teacher: z
    .strictObject({
      model: z.string(),
      experts: z.int().nonnegative(),
      parameters: z.int(),
      /** SHA-256 over its weights. */
      weights: z.string(),
      weight: z.number(),
      temperature: z.number(),
    })
    .optional(),
  /** Training tokens of each language in the dataset. */
  trainTokens: z.record(code, z.number()),
  /** Of text-to-text pairs: how many there are to train on, and how many lose an end of their inputs or their targets. */
  truncated: z
    .strictObject({
      ...{ pairs: z.int(), examples: z.int(), inputs: z.int(), targets: z.int() },
      /** Rows that they are packed in; absent where each has its own. */
      rows: z.int().optional(),
    })
    .optional(),
});
export type RunDescription = z.infer<typeof runDescriptionSchema>;
