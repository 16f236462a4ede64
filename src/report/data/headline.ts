import type { Measure } from "../../analysis/speedup.js";
import { bigSpeedup, type MeasureSummary, type Summary } from "../../analysis/summary.js";
import { percent, plural, times } from "../../base/format.js";
import { interval } from "../format.js";
import type { CandidateFacts, ReportData } from "./reportData.js";

/** Over which unit the averages run: mC4's tasks (107) or its languages (101). */
export type Level = "tasks" | "languages";

export const measureNames: Record<Measure, string> = { step: "steps", time: "training time", flops: "FLOPs" };

export function noun(level: Level): string {
  return level === "tasks" ? "task" : "language";
}

/** Whether any language is compared in two scripts, so that tasks and languages differ. */
export function hasVariants({ languages }: ReportData): boolean {
  return languages.some(({ main }) => !main);
}

/** Mean step speed-up in one line: `Mean step speed-up 4.95× (95 % interval 4.81–5.10) over 101 languages`. */
export function headline(candidate: CandidateFacts, level: Level): string {
  const summary = candidate.summaries[level];
  const { mean } = summary.measures.step!;
  const ends = interval(mean);
  const bound = boundSign(summary);
  return `Mean step speed-up ${bound}${times(mean.value)}${ends ? ` (95\u202f% interval ${ends})` : ""} over ${plural(summary.count, noun(level))}`;
}

/** What the headline means, in a sentence or two, whatever that honestly is. */
export function verdict(data: ReportData, candidate: CandidateFacts, level: Level): string {
  const summary = candidate.summaries[level];
  const { median, big } = summary.measures.step!;
  const better = Math.round(summary.improved.value * summary.count);
  const pace =
    median.value >= 1
      ? `In the median ${noun(level)} it is as good as the finished ${data.baseline.model} after ${percent(1 / median.value)} of the steps`
      : `In the median ${noun(level)} it needs ${times(1 / median.value)} as many steps for the same quality`;
  return `${candidate.model} ends better than ${data.baseline.model} in ${better} of ${plural(summary.count, noun(level))} (${percent(summary.improved.value)}). ${pace}; ${percent(big.value)} of the ${noun(level)}s have a speed-up of ${bigSpeedup}× or more.`;
}

/** `≥ ` where the values behind a mean hold lower bounds and no upper ones: so the mean is one too. */
export function boundSign(summary: Summary): string {
  if (summary.atLeast > 0 && summary.atMost === 0) return "≥\u202f";
  return summary.atMost > 0 && summary.atLeast === 0 ? "≤\u202f" : "";
}

/** What a reader must know before believing the figures. */
export function caveats(data: ReportData, candidate: CandidateFacts, level: Level): string[] {
  const { baseline } = data;
  const summary = candidate.summaries[level];
  const of = (amount: number): string => plural(amount, noun(level));
  const fewest = Math.min(...candidate.rows.map((row) => row.examples));
  const unfinished = [baseline, candidate].filter((run) => !run.finished);
  return [
    ...unfinished.map(
      (run) =>
        `${run.name} is not finished: compared as it stands at step ${run.lastStep.toLocaleString("en-US")} of ${run.totalSteps.toLocaleString("en-US")}.`,
    ),
    ...(baseline.lastStep !== candidate.lastStep
      ? [
          `The runs differ in length: ${baseline.lastStep.toLocaleString("en-US")} and ${candidate.lastStep.toLocaleString("en-US")} steps.`,
        ]
      : []),
    ...(summary.reversed > 0
      ? [
          `In ${of(summary.reversed)} the candidate never reaches the baseline's final quality; there (†) it is the baseline's steps to the candidate's final quality over the candidate's.`,
        ]
      : []),
    ...(summary.atLeast > 0
      ? [
          `In ${of(summary.atLeast)} the candidate was there before its first evaluation: those values are lower bounds (≥).`,
        ]
      : []),
    ...(summary.atMost > 0
      ? [
          `In ${of(summary.atMost)} the baseline was there before its first evaluation: those values are upper bounds (≤).`,
        ]
      : []),
    ...(baseline.backend !== candidate.backend
      ? [`The runs used different backends (${baseline.backend}, ${candidate.backend}): their times do not compare.`]
      : []),
    ...(fewest < 8
      ? [`Some languages have only ${plural(fewest, "validation example")}: their intervals mean little.`]
      : []),
  ];
}

/** The measures that were measured, in order. */
export function measured(summary: Summary): [Measure, MeasureSummary][] {
  return (Object.entries(summary.measures) as [Measure, MeasureSummary | null][]).flatMap(([measure, value]) =>
    value ? [[measure, value]] : [],
  );
}
