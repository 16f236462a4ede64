import { type SeedMean, seedMean } from "../analysis/seeds.js";
import type { Run } from "../run/readRun.js";

/** One metric of one task and language (`numbers/af`, `exactMatch`) at the end of each variant's runs: means over seeds. */
export interface StudyTaskResult {
  code: string;
  metric: string;
  variants: { variant: string; value: SeedMean | null }[];
}

/** One metric of one task at the end of each variant's runs: the mean over its languages, then over seeds. */
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
export function studyTaskMeans(runs: ReadonlyMap<string, readonly Run[]>): StudyTaskMean[] {
  const results = studyTaskResults(runs);
  const keyOf = ({ code, metric }: StudyTaskResult): string => JSON.stringify([metric, taskOf(code)]);
  return [...new Set(results.map(keyOf))].map((key) => {
    const group = results.filter((result) => keyOf(result) === key);
    const [{ code, metric }] = group;
    const variants = [...runs].map(([variant, mine]) => {
      const bySeed = mine.map(({ points }) => {
        const values = group.map((result) => points.at(-1)?.languages[result.code]?.metrics?.[metric]);
        const there = values.filter((value) => value !== undefined);
        return there.length === 0 ? undefined : there.reduce((sum, value) => sum + value, 0) / there.length;
      });
      return { variant, value: seedMean(bySeed.filter((value) => value !== undefined)) };
    });
    return { task: taskOf(code), metric, languages: group.length, variants };
  });
}

/** What fine-tuned runs were measured by besides their log perplexity, at their last evaluation; by metric, then task and language. */
export function studyTaskResults(runs: ReadonlyMap<string, readonly Run[]>): StudyTaskResult[] {
  const found = new Map<string, StudyTaskResult>();
  for (const run of [...runs.values()].flat()) {
    for (const [code, { metrics = {} }] of Object.entries(run.points.at(-1)?.languages ?? {})) {
      for (const metric of Object.keys(metrics)) {
        const variants = [...runs].map(([variant, mine]) => {
          const values = mine.map(({ points }) => points.at(-1)?.languages[code]?.metrics?.[metric]);
          return { variant, value: seedMean(values.filter((value) => value !== undefined)) };
        });
        found.set(JSON.stringify([metric, code]), { code, metric, variants });
      }
    }
  }
  return [...found.keys()].sort().map((key) => found.get(key)!);
}
