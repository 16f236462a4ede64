import { type SeedMean, seedMean } from "../analysis/seeds.js";
import type { Run } from "../run/readRun.js";

/** One metric of one task and language (`numbers/af`, `exactMatch`) at the end of each variant's runs: means over seeds. */
export interface StudyTaskResult {
  code: string;
  metric: string;
  variants: { variant: string; value: SeedMean | null }[];
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
