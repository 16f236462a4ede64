import { usageError } from "../../base/errors.js";
import type { EvalPoint } from "../../run/runFiles.js";
import type { RunConfig } from "../config/runConfig.js";

type Best = NonNullable<RunConfig["evaluation"]["best"]>;

/**
 * The mean of a metric over the languages (of pairs: tasks in a language) of an evaluation.
 *
 * @throws usageError where the evaluation has no such metric
 */
export function meanMetric({ step, languages }: EvalPoint, metric: string): number {
  const values = Object.values(languages).map(({ negLogPerplexity, sourceUse, metrics }) => {
    const known: Record<string, number | undefined> = { negLogPerplexity, sourceUse, ...metrics };
    return Object.hasOwn(known, metric) ? known[metric] : undefined;
  });
  const found = values.filter((value) => value !== undefined);
  if (found.length === values.length && values.length > 0) {
    return found.reduce((sum, value) => sum + value, 0) / found.length;
  }
  const names = Object.keys(Object.values(languages)[0]?.metrics ?? {});
  throw usageError(`the evaluation of step ${step} has no ${metric}`, {
    code: "metric-unknown",
    where: "evaluation.best.metric",
    why: `it has ${["negLogPerplexity", "sourceUse", ...names].join(", ")}`,
  });
}

/**
 * The evaluation with the highest mean, the first of equals; undefined where there is none. The model before its first step is none.
 *
 * @param branch of a run that began with another's checkpoint: evaluations before it are of that run, which has their checkpoints
 */
export function bestEvaluation(
  points: readonly EvalPoint[],
  { metric }: Pick<Best, "metric">,
  branch: RunConfig["branch"],
): { step: number; value: number } | undefined {
  let best: { step: number; value: number } | undefined;
  for (const point of [...points].sort((a, b) => a.step - b.step)) {
    if (point.step === 0 || (branch && point.step < branch.step)) continue;
    const value = meanMetric(point, metric);
    if (best === undefined || value > best.value) best = { step: point.step, value };
  }
  return best;
}

/** Whether the last `patience` evaluations were no better than the best before them. */
export function hasEnded(
  points: readonly EvalPoint[],
  { metric, patience }: Best,
  branch: RunConfig["branch"],
): boolean {
  if (patience === undefined) return false;
  const best = bestEvaluation(points, { metric }, branch);
  return best !== undefined && points.filter(({ step }) => step > best.step).length >= patience;
}
