import { type TaskMetric, taskMetric } from "./taskMetrics.js";
import type { TaskOutput } from "./taskOutput.js";

/** An output with what it belongs to. */
export interface LabelledOutput extends TaskOutput {
  task: string;
  lang: string;
}

/** One metric of one task in one language. */
export interface TaskResult {
  task: string;
  lang: string;
  metric: TaskMetric;
  value: number;
  examples: number;
}

/** Each metric of each task and language that outputs are of, in sorted order. */
export function taskResults(outputs: readonly LabelledOutput[], metrics: readonly TaskMetric[]): TaskResult[] {
  const groups = new Map<string, LabelledOutput[]>();
  for (const output of outputs) {
    const key = JSON.stringify([output.task, output.lang]);
    groups.set(key, [...(groups.get(key) ?? []), output]);
  }
  return [...groups.keys()].sort().flatMap((key) => {
    const group = groups.get(key)!;
    const { task, lang } = group[0];
    return metrics.map((metric) => ({
      ...{ task, lang, metric, value: taskMetric(metric, group, lang), examples: group.length },
    }));
  });
}
