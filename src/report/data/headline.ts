import type { LanguageSpeedup, Measure } from "../../analysis/speedup.js";
import { bigSpeedup, type MeasureSummary, type Summary } from "../../analysis/summary.js";
import { hundredths, percent, plural, times } from "../../base/format.js";
import { interval, markedTimes } from "../format.js";
import type { CandidateFacts, ReportData, RunFacts } from "./reportData.js";

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

/** What an interval covers: the choice of validation examples, and the seeds where a side has several. */
export function coverage({ baseline }: ReportData, candidate: CandidateFacts): string {
  const seeds = [baseline, candidate].map((side) => side.seeds.length);
  if (Math.max(...seeds) === 1) return "over validation examples; one seed a side";
  return `over validation examples and seeds, ${seeds.join(" and ")}`;
}

/**
 * Nats a token that the right source must be worth for a model to count as one that reads it. Small models stay at 0.02 to 0.06 until
 * they learn to attend to it, and are above 0.2 soon after (docs/results.md).
 */
const readsFrom = 0.1;

/** How many of a side's runs read their source; null where not every run's evaluation says so. */
function readers({ seedSourceUses }: RunFacts): number | null {
  return seedSourceUses?.filter((use) => use >= readsFrom).length ?? null;
}

/** Whether it is known that no run of either side reads its source. */
function nobodyReads(...sides: RunFacts[]): boolean {
  return sides.every((side) => readers(side) === 0);
}

/** The finding in two or three words, for a table: `faster`, `slower`, `no difference shown`, `no interval`, `no comparison yet`. */
export function shortFinding({ baseline }: ReportData, candidate: CandidateFacts, level: Level): string {
  if (nobodyReads(baseline, candidate)) return "no comparison yet";
  const summary = candidate.summaries[level];
  const ends = summary.measures.step!.mean.interval;
  if (!ends) return "no interval";
  if (ends[0] > 1) return "faster";
  return isSlower(summary) ? "slower" : "no difference shown";
}

/**
 * Whether the mean speed-up lies below 1×: by its interval or, where values are upper bounds that end at 1× themselves (a candidate that never
 * gets better than the baseline's first evaluation), by a final quality that is worse beyond its interval.
 */
function isSlower({ measures, atMost, gain }: Summary): boolean {
  const ends = measures.step!.mean.interval;
  if (!ends) return false;
  return ends[1] < 1 || (atMost > 0 && ends[1] <= 1 && gain.interval !== null && gain.interval[1] < 0);
}

/** The result in words, before any number: faster, slower, not to be told from 1×, or no comparison of what the model is for. */
export function finding({ baseline }: ReportData, candidate: CandidateFacts, level: Level): string {
  if (nobodyReads(baseline, candidate)) {
    return `No comparison yet: neither ${candidate.name} nor ${baseline.name} has learned to read its source`;
  }
  const summary = candidate.summaries[level];
  const { measures, count, faster } = summary;
  const ends = measures.step!.mean.interval;
  const among = `in ${faster} of ${plural(count, noun(level))}`;
  const names = `${candidate.name} and ${baseline.name}`;
  if (!ends) return `${names}: no interval, so no statement; ${candidate.name} is faster ${among}`;
  if (ends[0] > 1) return `${candidate.name} learns faster than ${baseline.name}, ${among}`;
  if (isSlower(summary)) return `${candidate.name} learns more slowly than ${baseline.name}; it is faster ${among}`;
  return `No difference shown: the speed-up of ${candidate.name} over ${baseline.name} cannot be told from 1×; it is faster ${among}`;
}

/** Mean step speed-up in one line: `Mean step speed-up 4.95× (95 % interval 4.81–5.10 over validation examples; one seed a side) over 101 languages`. */
export function headline(data: ReportData, candidate: CandidateFacts, level: Level): string {
  const summary = candidate.summaries[level];
  const { mean } = summary.measures.step!;
  const ends = interval(mean);
  const bound = boundSign(summary);
  const label = ends ? ` (95\u202f% interval ${ends}, ${coverage(data, candidate)})` : "";
  return `Mean step speed-up ${bound}${times(mean.value)}${label} over ${plural(summary.count, noun(level))}`;
}

/** What the headline means, in a few sentences. */
export function verdict(data: ReportData, candidate: CandidateFacts, level: Level): string {
  const { baseline } = data;
  const summary = candidate.summaries[level];
  const { median, big } = summary.measures.step!;
  const better = Math.round(summary.improved.value * summary.count);
  // A median that stands among upper bounds is one.
  const isBound = 2 * summary.atMost >= summary.count;
  const pace =
    median.value >= 1 && !isBound
      ? `In the median ${noun(level)} it is as good as ${baseline.name} at step ${candidate.endStep.toLocaleString("en-US")} after ${percent(1 / median.value)} of the steps`
      : `In the median ${noun(level)} it needs ${isBound ? "at least " : ""}${times(1 / median.value)} as many steps for the same quality`;
  const { match, step } = candidate.macroSpeedup;
  const sentences = [
    `At the end it is better in ${better} of ${plural(summary.count, noun(level))} (${percent(summary.improved.value)}), beyond the interval in ${summary.clearlyBetter}, and worse beyond it in ${summary.clearlyWorse}`,
    pace,
    `${percent(big.value)} of the ${noun(level)}s have a speed-up of ${bigSpeedup}× or more`,
    `The curve of the mean over languages has a speed-up of ${markedTimes(step.value, match)}`,
    ...(candidate.bySeed.length > 1
      ? [`By seed the mean is ${candidate.bySeed.map(({ seed, speedup }) => `${times(speedup)} (${seed})`).join(", ")}`]
      : []),
  ];
  return `${sentences.join(". ")}.`;
}

/** `≥ ` where the values behind a mean hold lower bounds and no upper ones: so the mean is one too. */
export function boundSign(summary: Summary): string {
  if (summary.atLeast > 0 && summary.atMost === 0) return "≥\u202f";
  return summary.atMost > 0 && summary.atLeast === 0 ? "≤\u202f" : "";
}

/** What a reader must know before believing the figures. */
export function caveats(data: ReportData, candidate: CandidateFacts, level: Level): string[] {
  const summary = candidate.summaries[level];
  const of = (amount: number): string => plural(amount, noun(level));
  const fewest = Math.min(...candidate.rows.map((row) => row.examples));
  return [
    ...lengthCaveats(data, candidate),
    ...sourceCaveats(data, candidate),
    ...fairnessCaveats(data, candidate),
    ...timeCaveats(data, candidate),
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
    ...(fewest < 8
      ? [`Some languages have only ${plural(fewest, "validation example")}: their intervals mean little.`]
      : []),
  ];
}

function lengthCaveats({ baseline }: ReportData, candidate: CandidateFacts): string[] {
  const steps = (value: number): string => value.toLocaleString("en-US");
  const { endStep } = candidate;
  return [
    ...[baseline, candidate]
      .filter(({ finished }) => !finished)
      .map(
        ({ name, lastStep, totalSteps }) =>
          `${name} is not finished: it is at step ${steps(lastStep)} of ${steps(totalSteps)}.`,
      ),
    ...(Math.max(baseline.lastStep, candidate.lastStep) > endStep
      ? [`The runs are compared over the first ${steps(endStep)} steps, which both have.`]
      : []),
  ];
}

function timeCaveats({ baseline }: ReportData, candidate: CandidateFacts): string[] {
  const unknown = candidate.rows.filter(({ time }) => time === null).length;
  return [
    ...[baseline, candidate]
      .filter(({ damagedMetrics }) => damagedMetrics > 0)
      .map(
        ({ name, damagedMetrics }) =>
          `${plural(damagedMetrics, "line")} of ${name}'s metrics.jsonl are damaged and left out.`,
      ),
    ...(unknown > 0
      ? [`For ${plural(unknown, "task")} the speed-up in time is unknown: training times that it takes are lost.`]
      : []),
  ];
}

/** A model that does not read its source yet is a language model of its targets: a speed-up then says when each began to read. */
function sourceCaveats({ baseline }: ReportData, candidate: CandidateFacts): string[] {
  const sides = [baseline, candidate];
  const counts = sides.map(readers);
  if (counts.includes(null) || sides.every(({ seeds }, i) => counts[i] === seeds.length)) return [];
  const use = ({ name, seedSourceUses }: RunFacts): string =>
    `${name} ${seedSourceUses!.map(hundredths).join(", ")} nats a token`;
  const uses = `what the right source is worth: ${sides.map(use).join("; ")}`;
  if (nobodyReads(...sides)) {
    return [
      `Neither side reads its source (${uses}): both predict the targets from the language and the words before, and the speed-up compares only that. Train on.`,
    ];
  }
  const reader = sides.find(({ seeds }, i) => counts[i] === seeds.length && counts[1 - i] === 0);
  if (reader) {
    const other = reader === baseline ? candidate : baseline;
    return [
      `Only ${reader.name} reads its source (${uses}): the figures say when each side learned to, and little else. Train on until ${other.name} does too.`,
    ];
  }
  const total = sides.reduce((sum, { seeds }) => sum + seeds.length, 0);
  return [
    `Only ${counts[0]! + counts[1]!} of ${total} runs read their source (${uses}): the figures say above all which seeds learned to. Train on until all do.`,
  ];
}

/** Whatever makes the two sides differ besides their experts. */
function fairnessCaveats({ baseline }: ReportData, candidate: CandidateFacts): string[] {
  const flops = candidate.flopsPerStep / baseline.flopsPerStep;
  const seeds = [baseline, candidate].map((side) => side.seeds.join(", "));
  const single = baseline.seeds.length === 1 && candidate.seeds.length === 1;
  return [
    ...(candidate.differences.length > 0
      ? [`Besides the experts the configurations differ (baseline, candidate) in: ${candidate.differences.join("; ")}.`]
      : []),
    ...(baseline.tokensPerStep !== candidate.tokensPerStep
      ? [
          `The runs differ in tokens a step (${baseline.tokensPerStep.toLocaleString("en-US")} and ${candidate.tokensPerStep.toLocaleString("en-US")}): steps do not compare.`,
        ]
      : []),
    ...(Math.abs(flops - 1) > 0.05
      ? [`A step of the candidate costs ${times(flops)} the FLOPs of the baseline's: look at the speed-up in FLOPs.`]
      : []),
    ...(seeds[0] !== seeds[1] ? [`The sides have different seeds (${seeds.join("; ")}).`] : []),
    ...([baseline, candidate].some((side) => side.seeds.length === 2)
      ? ["Two seeds leave one degree of freedom, and the interval is wide: a third would narrow it to about a third."]
      : []),
    ...(single ? ["There is one seed a side: another seed may move the result beyond its interval."] : []),
    ...(baseline.backend !== candidate.backend
      ? [`The runs used different backends (${baseline.backend}, ${candidate.backend}): their times do not compare.`]
      : []),
  ];
}

/** A candidate's rows with a known speed-up, of the tasks that `level` counts. */
export function measuredRows(
  { languages }: ReportData,
  { rows }: CandidateFacts,
  level: Level,
  measure: Measure,
): { row: LanguageSpeedup; value: number }[] {
  return rows.flatMap((row, i) => {
    const estimate = row[measure];
    return estimate && (level === "tasks" || languages[i].main) ? [{ row, value: estimate.value }] : [];
  });
}

/** The measures that were measured, in order. */
export function measured(summary: Summary): [Measure, MeasureSummary][] {
  return (Object.entries(summary.measures) as [Measure, MeasureSummary | null][]).flatMap(([measure, value]) =>
    value ? [[measure, value]] : [],
  );
}
