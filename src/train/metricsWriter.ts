import { plural } from "../base/format.js";
import type { Log } from "../base/log.js";
import type { TrainingPlan } from "../plan/planTraining.js";
import { appendMetrics, type RunPaths, writeEvaluation } from "../run/runDirectory.js";
import { type EvalPoint, meanMetrics, meanSourceUse } from "../run/runFiles.js";
import type { RunConfig } from "./config/runConfig.js";
import { formatMetrics, type LogLine, toMetricsLine, trainingFaults } from "./metrics.js";
import { startPythonTrackers } from "./trackers/pythonTracker.js";
import { createEventWriter } from "./trackers/tensorboard.js";
import { hyperParametersOf } from "./trackers/tracker.js";

/** Writes what a run measures to everywhere it is kept: the log, `metrics.jsonl`, `eval/`, TensorBoard and other trackers. */
export interface MetricsWriter {
  line(line: LogLine): Promise<void>;
  evaluation(point: EvalPoint): Promise<void>;
  close(): Promise<void>;
}

export interface MetricsWriterOptions {
  paths: RunPaths;
  config: RunConfig;
  plan: TrainingPlan;
  /** 0 for a dense model. */
  experts: number;
  /** Updates done before this process. */
  startStep: number;
  log: Log;
}

export async function createMetricsWriter({
  paths,
  config,
  plan,
  experts,
  startStep,
  log,
}: MetricsWriterOptions): Promise<MetricsWriter> {
  const { name, steps } = config;
  const hyperParameters = hyperParametersOf(config);
  const others = await startPythonTrackers(config.trackers ?? {}, {
    ...{ name, directory: paths.directory, hyperParameters, log },
  });
  const trackers = [await createEventWriter(paths.tensorboard, { name, startStep, hyperParameters }), ...others];
  const scalars = async (step: number, values: Record<string, number | undefined>): Promise<void> => {
    const finite = Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
    for (const tracker of trackers) await tracker.scalars(step, Object.fromEntries(finite));
  };
  /** Faults that were warned of, without the numbers in them. */
  const told = new Set<string>();
  return {
    async line(line) {
      const metrics = toMetricsLine(line, plan);
      await appendMetrics(paths, metrics);
      const { step, ...values } = metrics;
      await scalars(step, prefixed("train/", values));
      const secondsLeft = ((steps - step) * line.seconds) / line.steps;
      const { full, brief } = formatMetrics(metrics, steps, secondsLeft);
      log.info(full, brief);
      for (const fault of trainingFaults(metrics, experts)) {
        const kind = fault.replace(/\d+/g, "");
        if (!told.has(kind)) log.warn(`step ${step}: ${fault}`);
        told.add(kind);
      }
    },
    async evaluation(point) {
      await writeEvaluation(paths, point);
      const { mean, sourceUse, metrics, best, worst } = summarizeEvaluation(point);
      const byLanguage = (key: "negLogPerplexity" | "sourceUse"): Record<string, number | undefined> =>
        Object.fromEntries(Object.entries(point.languages).map(([code, quality]) => [code, quality[key]]));
      await scalars(point.step, {
        "eval/negLogPerplexity": mean,
        "eval/sourceUse": sourceUse ?? undefined,
        ...prefixed("eval/", metrics),
        ...prefixed("eval/negLogPerplexity/", byLanguage("negLogPerplexity")),
        ...prefixed("eval/sourceUse/", byLanguage("sourceUse")),
      });
      const value = (code: string): string => `${code} ${point.languages[code].negLogPerplexity.toFixed(4)}`;
      const reads = sourceUse === null ? "" : ` source use ${sourceUse.toFixed(3)}`;
      const means = Object.entries(metrics).map(([metric, share]) => ` ${metric} ${share.toFixed(3)}`);
      const count = Object.keys(point.languages).length;
      log.info(
        `eval step ${point.step} nlp ${mean.toFixed(4)}${reads}${means.join("")} over ${plural(count, "language")}, best ${value(best)}, worst ${value(worst)}`,
      );
    },
    close: async () => {
      for (const tracker of trackers) await tracker.close();
    },
  };
}

function prefixed(prefix: string, values: Record<string, number | undefined>): Record<string, number | undefined> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
}

export interface EvaluationSummary {
  step: number;
  languages: number;
  /** Of the languages' negative log perplexities. */
  mean: number;
  /** Mean of the languages' source use; null where none was measured. */
  sourceUse: number | null;
  /** Means of what was measured of tasks: of languages that have it. */
  metrics: Record<string, number>;
  best: string;
  worst: string;
}

/** @param point of at least one language */
export function summarizeEvaluation({ step, languages }: EvalPoint): EvaluationSummary {
  const sorted = Object.entries(languages).sort(([, a], [, b]) => b.negLogPerplexity - a.negLogPerplexity);
  const mean = sorted.reduce((sum, [, quality]) => sum + quality.negLogPerplexity, 0) / sorted.length;
  const [best, worst] = [sorted[0][0], sorted[sorted.length - 1][0]];
  return {
    step,
    languages: sorted.length,
    mean,
    sourceUse: meanSourceUse(languages),
    metrics: meanMetrics(languages),
    best,
    worst,
  };
}
