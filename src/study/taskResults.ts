import { type SeedMean, seedMean } from "../analysis/seeds.js";
import type { Run } from "../run/readRun.js";
import type { EvalPoint } from "../run/runFiles.js";

/** The evaluation that is a run's result. */
export type ResultOf = (run: Run) => EvalPoint;

/** One metric of one task and language (`numbers.af`, `exactMatch`) of each variant's runs: means over seeds. */
export interface StudyTaskResult {
  code: string;
  metric: string;
  variants: { variant: string; value: SeedMean | null }[];
}

/** One metric of one task of each variant's runs: the mean over its languages, then over seeds. */
export interface StudyTaskMean {
  task: string;
  metric: string;
  languages: number;
  variants: { variant: string; value: SeedMean | null }[];
}

/** The task of a code: `numbers` of `numbers.sw`. */
export function taskOf(code: string): string {
  return code.split(".")[0];
}

/** Means over the languages of each task, as mT5's Table 2; by metric, then task. */
export function studyTaskMeans(runs: ReadonlyMap<string, readonly Run[]>, resultOf: ResultOf): StudyTaskMean[] {
  const results = studyTaskResults(runs, resultOf);
  const keyOf = ({ code, metric }: StudyTaskResult): string => JSON.stringify([metric, taskOf(code)]);
  return [...new Set(results.map(keyOf))].map((key) => {
    const group = results.filter((result) => keyOf(result) === key);
    const [{ code, metric }] = group;
    const variants = [...runs].map(([variant, mine]) => {
      const bySeed = mine.map((run) => {
        const values = group.map((result) => resultOf(run).languages[result.code]?.metrics?.[metric]);
        const there = values.filter((value) => value !== undefined);
        return there.length === 0 ? undefined : there.reduce((sum, value) => sum + value, 0) / there.length;
      });
      return { variant, value: seedMean(bySeed.filter((value) => value !== undefined)) };
    });
    return { task: taskOf(code), metric, languages: group.length, variants };
  });
}

/** What fine-tuned runs were measured by besides their log perplexity; by metric, then task and language. */
export function studyTaskResults(runs: ReadonlyMap<string, readonly Run[]>, resultOf: ResultOf): StudyTaskResult[] {
  const found = new Map<string, StudyTaskResult>();
  for (const run of [...runs.values()].flat()) {
    for (const [code, { metrics = {} }] of Object.entries(resultOf(run).languages)) {
      for (const metric of Object.keys(metrics)) {
        const variants = [...runs].map(([variant, mine]) => {
          const values = mine.map((one) => resultOf(one).languages[code]?.metrics?.[metric]);
          return { variant, value: seedMean(values.filter((value) => value !== undefined)) };
        });
        found.set(JSON.stringify([metric, code]), { code, metric, variants });
      }
    }
  }
  return [...found.keys()].sort().map((key) => found.get(key)!);
}
