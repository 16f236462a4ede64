import { rising } from "../../analysis/crossing.js";
import { cutToCommonEnd, cutToSharedSteps, meanPoints, type Side, sideName } from "../../analysis/sides.js";
import {
  curveOf,
  type LanguageSpeedup,
  macroCurve,
  macroSpeedup,
  type Speedup,
  speedupTable,
} from "../../analysis/speedup.js";
import { mainTasks, type Summary, summarize } from "../../analysis/summary.js";
import { usageError } from "../../base/errors.js";
import { findLanguage } from "../../corpus/shards/languages.js";
import { isFinished, type Run } from "../../run/readRun.js";
import { type MetricsLine, meanSourceUse } from "../../run/runFiles.js";
import { ownName } from "./ownName.js";
import { type Published, readPublished } from "./published.js";
import { requireComparable } from "./requireComparable.js";
import { type RoutingFacts, routingFacts } from "./routingFacts.js";
import { configDifferences, groupSeeds } from "./runConfigs.js";

/** All that a report shows, as plain data: `speedups.json` and the page's own data. */
export interface ReportData {
  baseline: RunFacts;
  candidates: CandidateFacts[];
  /** The tasks that are compared, by code. */
  languages: LanguageFacts[];
  published: Published;
}

export interface LanguageFacts {
  code: string;
  name: string;
  /** What the language calls itself, where that is known and another name. */
  ownName: string | null;
  /** Whether the task stands for its language: a Latin-script variant beside its main task does not. */
  main: boolean;
  /** Training tokens in the dataset; null where the run does not say. */
  trainTokens: number | null;
}

/** One side of the comparison: a run, or several that differ in their seed. */
export interface RunFacts {
  dirs: string[];
  /** The user's name of it; unlike every other side's. */
  name: string;
  model: string;
  experts: number;
  parameters: number;
  flopsPerStep: number;
  tokensPerStep: number;
  totalSteps: number;
  /** Step of the last evaluation of its shortest run. */
  lastStep: number;
  finished: boolean;
  backend: string;
  /** Lines of `metrics.jsonl` that are damaged and left out, over all runs. */
  damagedMetrics: number;
  seeds: number[];
  /** Mean over the runs; null where nothing was logged. */
  tokensPerSecond: number | null;
  trainSeconds: number | null;
  epochs: Record<string, number>;
  /** What its sources are worth to it at `lastStep` by language code, nats a token. */
  sourceUse: Record<string, number>;
  /** The mean over main tasks, over all runs and of each; null: not every run says it. */
  meanSourceUse: number | null;
  seedSourceUses: number[] | null;
  steps: number[];
  /** Quality at `steps` by language code, made to rise: what speed-ups are read off. */
  curves: Record<string, number[]>;
  /** The same as it was measured. */
  measured: Record<string, number[]>;
  /** Mean over the languages (main tasks) at `steps`, made to rise, and as it was measured. */
  macro: number[];
  measuredMacro: number[];
}

export interface CandidateFacts extends RunFacts {
  /** The last step at which it and the baseline were evaluated: where their comparison ends. */
  endStep: number;
  /** Same order as the report's languages. */
  rows: LanguageSpeedup[];
  /** Over all tasks, and over languages: the same where no language has two tasks. */
  summaries: { tasks: Summary; languages: Summary };
  /** Of the mean curve. */
  macroSpeedup: Speedup;
  /** Mean step speed-up over languages of each pair of runs, where both sides have the same seeds; else empty. */
  bySeed: { seed: number; speedup: number }[];
  /** Keys by which its configuration differs from the baseline's besides the experts. */
  differences: string[];
  /** null for a dense model. */
  routing: RoutingFacts | null;
}

export interface ReportOptions {
  /** Bootstrap resamples. */
  resamples?: number;
  seed?: number;
}

/**
 * Compares the first run with each of the others on the languages that all runs evaluated, over the steps that both have. Runs that differ in
 * their seed only are one side.
 *
 * @param runs the baseline first; its other seeds anywhere
 * @throws usageError where the runs cannot be compared
 */
export function reportData(runs: readonly Run[], options: ReportOptions = {}): ReportData {
  const [first, ...others] = groupSeeds(runs);
  if (others.length === 0) {
    throw usageError("there is nothing to compare", {
      code: "runs-not-comparable",
      where: first.map(({ dir }) => dir).join(", "),
      why: "these runs differ in their seed only",
      hint: "name the runs of another model too",
    });
  }
  requireComparable(runs[0], runs.slice(1));
  const pairs = others.map((side) => {
    const [baseline, candidate] = cutToCommonEnd([first, side]);
    return { baseline, candidate, table: speedupTable(baseline, candidate, options) };
  });
  const codes = pairs
    .map(({ table }) => table.rows.map((row) => row.code))
    .reduce((common, next) => common.filter((code) => next.includes(code)));
  if (codes.length === 0) {
    throw usageError("the runs have no language in common", { code: "runs-not-comparable", where: first[0].dir });
  }
  const main = mainTasks(codes, (code) => findLanguage(code)?.language ?? code);
  const mainCodes = codes.filter((code) => main.has(code));
  const [baselineName, ...names] = distinctNames([first, ...others]);
  return {
    baseline: runFacts(first, baselineName, codes, mainCodes),
    candidates: pairs.map(({ baseline, candidate, table }, i) => ({
      ...runFacts(others[i], names[i], codes, mainCodes),
      endStep: Math.min(...[baseline, candidate].flat().map(lastStepOf)),
      rows: table.rows.filter((row) => codes.includes(row.code)),
      summaries: {
        tasks: summarize(table, (code) => codes.includes(code)),
        languages: summarize(table, (code) => main.has(code)),
      },
      macroSpeedup: macroSpeedup(baseline, candidate, mainCodes),
      bySeed: speedupsBySeed(baseline, candidate, main),
      differences: configDifferences(first, others[i]),
      routing: routingFacts(others[i][0].points, codes),
    })),
    languages: codes.map((code) => ({
      code,
      name: findLanguage(code)?.name ?? code,
      ownName: ownName(code),
      main: main.has(code),
      trainTokens: first[0].description.trainTokens[code] ?? null,
    })),
    published: readPublished(),
  };
}

const lastStepOf = ({ points }: Run): number => points[points.length - 1].step;

/** The users' names; with the directory where two sides have the same. */
function distinctNames(sides: readonly Side[]): string[] {
  const names = sides.map(sideName);
  return names.map((name, i) =>
    names.some((other, at) => at !== i && other === name) ? `${name} [${sides[i][0].dir}]` : name,
  );
}

/** A line's step and time, where it has one. */
function timedLine({ step, trainSeconds }: MetricsLine): { step: number; trainSeconds: number }[] {
  return trainSeconds === undefined ? [] : [{ step, trainSeconds }];
}

function speedupsBySeed(baseline: Side, candidate: Side, main: ReadonlySet<string>): CandidateFacts["bySeed"] {
  if (baseline.length < 2) return [];
  return baseline.flatMap((run) => {
    const { seed } = run.description;
    const twin = candidate.find(({ description }) => description.seed === seed);
    if (!twin) return [];
    const { rows } = speedupTable([run], [twin], { resamples: 0 });
    const speedups = rows.filter(({ code }) => main.has(code)).map(({ step }) => step.value);
    return [{ seed, speedup: speedups.reduce((sum, value) => sum + value, 0) / speedups.length }];
  });
}

function runFacts(side: Side, name: string, codes: string[], mainCodes: string[]): RunFacts {
  const { description } = side[0];
  const shared = cutToSharedSteps(side);
  const points = meanPoints(shared);
  const end = points[points.length - 1];
  const sourceUses = shared.flatMap((run) => meanSourceUse(run.points[points.length - 1].languages, mainCodes) ?? []);
  const macro = macroCurve(points, mainCodes);
  const measured = codes.map((code) => [code, curveOf(points, code)] as const);
  const lastLines = side.flatMap(({ metrics }) => metrics.flatMap(timedLine).slice(-1));
  const mean = (values: number[]): number | null =>
    lastLines.length < side.length ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    dirs: side.map(({ dir }) => dir),
    name,
    model: description.model,
    experts: description.experts,
    parameters: description.parameters,
    flopsPerStep: description.flopsPerStep,
    tokensPerStep: description.tokensPerStep,
    totalSteps: description.totalSteps,
    sourceUse: Object.fromEntries(
      codes.flatMap((code) => {
        const use = end.languages[code].sourceUse;
        return use === undefined ? [] : [[code, use]];
      }),
    ),
    meanSourceUse: meanSourceUse(end.languages, mainCodes),
    seedSourceUses: sourceUses.length < side.length ? null : sourceUses,
    backend: description.backend,
    epochs: description.epochs,
    seeds: side.map((run) => run.description.seed),
    damagedMetrics: side.reduce((sum, run) => sum + run.damagedMetrics.length, 0),
    lastStep: Math.min(...side.map(lastStepOf)),
    finished: side.every(isFinished),
    tokensPerSecond: mean(lastLines.map((line) => (line.step * description.tokensPerStep) / line.trainSeconds)),
    trainSeconds: mean(lastLines.map(({ trainSeconds }) => trainSeconds)),
    steps: points.map(({ step }) => step),
    curves: Object.fromEntries(measured.map(([code, curve]) => [code, Array.from(rising(curve).quality)])),
    measured: Object.fromEntries(measured.map(([code, curve]) => [code, Array.from(curve.quality)])),
    macro: Array.from(rising(macro).quality),
    measuredMacro: Array.from(macro.quality),
  };
}
