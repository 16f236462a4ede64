import { type TaskChartInput, taskChart, taskChartSize } from "../report/charts/taskChart.js";
import { renderSvg } from "../report/render/renderSvg.js";
import type { StudyResults } from "./studyResults.js";
import { taskOf } from "./taskResults.js";

export interface StudyFigure {
  /** Relative to the study's folder: `figures/numbers-exactMatch.svg`. */
  file: string;
  title: string;
  svg: string;
}

/** A figure for each task and metric of fine-tuned runs: every language, a mark a variant, means over seeds. Languages as the baseline has them, best first. */
export function taskFigures(results: StudyResults): StudyFigure[] {
  return results.taskMeans.map(({ task, metric }) => {
    const input = inputOf(results, task, metric);
    const svg = renderSvg((context) => taskChart(input, context), taskChartSize(input));
    return { file: `figures/${task}-${metric}.svg`, title: `${task}: ${input.metric} by language`, svg };
  });
}

function inputOf({ tasks, variants, baseline }: StudyResults, task: string, metric: string): TaskChartInput {
  // chrF is in percent already.
  const scale = metric === "chrF" ? 1 : 100;
  const rows = tasks
    .filter((row) => row.metric === metric && taskOf(row.code) === task)
    .map((row) => ({
      language: row.code.slice(task.length + 1),
      of: new Map(row.variants.map(({ variant, value }) => [variant, value && scale * value.mean])),
    }))
    .sort((a, b) => (b.of.get(baseline) ?? 0) - (a.of.get(baseline) ?? 0) || (a.language < b.language ? -1 : 1));
  const names = [baseline, ...variants.map(({ variant }) => variant).filter((name) => name !== baseline)];
  return {
    metric: `${metric}, %`,
    languages: rows.map(({ language }) => language),
    models: names.map((name) => ({ name, values: rows.map(({ of }) => of.get(name) ?? null) })),
  };
}
