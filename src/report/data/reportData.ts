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
import { type Published, readPublished } from "./published.js";
import { requireComparable } from "./requireComparable.js";
import { type RoutingFacts, routingFacts } from "./routingFacts.js";

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
  /** Whether the task stands for its language: a Latin-script variant beside its main task does not. */
  main: boolean;
  /** Training tokens in the dataset; null where the run does not say. */
  trainTokens: number | null;
}

export interface RunFacts {
  dir: string;
  name: string;
  model: string;
  experts: number;
  parameters: number;
  flopsPerStep: number;
  tokensPerStep: number;
  totalSteps: number;
  /** Step of the last evaluation. */
  lastStep: number;
  finished: boolean;
  backend: string;
  seed: number;
  /** Mean over the run; null where nothing was logged. */
  tokensPerSecond: number | null;
  trainSeconds: number | null;
  epochs: Record<string, number>;
  steps: number[];
  /** Quality at `steps`, by language code. */
  curves: Record<string, number[]>;
  /** Mean over the languages (main tasks) at `steps`. */
  macro: number[];
}

export interface CandidateFacts extends RunFacts {
  /** Same order as the report's languages. */
  rows: LanguageSpeedup[];
  /** Over all tasks, and over languages: the same where no language has two tasks. */
  summaries: { tasks: Summary; languages: Summary };
  /** Of the mean curve. */
  macroSpeedup: Speedup;
  /** null for a dense model. */
  routing: RoutingFacts | null;
}

export interface ReportOptions {
  /** Bootstrap resamples. */
  resamples?: number;
  seed?: number;
}

/**
 * Compares every candidate with the baseline on the languages that all runs evaluated.
 *
 * @throws usageError where the runs cannot be compared
 */
export function reportData(baseline: Run, candidates: readonly Run[], options: ReportOptions = {}): ReportData {
  requireComparable(baseline, candidates);
  const tables = candidates.map((run) => speedupTable(baseline, run, options));
  const codes = tables
    .map((table) => table.rows.map((row) => row.code))
    .reduce((common, next) => common.filter((code) => next.includes(code)));
  if (codes.length === 0) {
    throw usageError("the runs have no language in common", { code: "runs-not-comparable", where: baseline.dir });
  }
  const main = mainTasks(codes, (code) => findLanguage(code)?.language ?? code);
  const mainCodes = codes.filter((code) => main.has(code));
  return {
    baseline: runFacts(baseline, codes, mainCodes),
    candidates: candidates.map((run, i) => ({
      ...runFacts(run, codes, mainCodes),
      rows: tables[i].rows.filter((row) => codes.includes(row.code)),
      summaries: {
        tasks: summarize(tables[i], (code) => codes.includes(code)),
        languages: summarize(tables[i], (code) => main.has(code)),
      },
      macroSpeedup: macroSpeedup(baseline, run, mainCodes),
      routing: routingFacts(run.points, codes),
    })),
    languages: codes.map((code) => ({
      code,
      name: findLanguage(code)?.name ?? code,
      main: main.has(code),
      trainTokens: baseline.description.trainTokens[code] ?? null,
    })),
    published: readPublished(),
  };
}

function runFacts(run: Run, codes: string[], mainCodes: string[]): RunFacts {
  const { vocabulary: _v, dataset: _d, evalExamples: _e, trainTokens: _t, ...description } = run.description;
  const lastLine = run.metrics.at(-1);
  const macro = macroCurve(run, mainCodes);
  return {
    ...description,
    dir: run.dir,
    lastStep: run.points[run.points.length - 1].step,
    finished: isFinished(run),
    tokensPerSecond: lastLine ? (lastLine.step * description.tokensPerStep) / lastLine.trainSeconds : null,
    trainSeconds: lastLine?.trainSeconds ?? null,
    steps: Array.from(macro.steps),
    curves: Object.fromEntries(codes.map((code) => [code, Array.from(curveOf(run, code).quality)])),
    macro: Array.from(macro.quality),
  };
}
