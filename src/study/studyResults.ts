import { existsSync } from "node:fs";
import { join } from "node:path";
import { firstReach, rising } from "../analysis/crossing.js";
import { type SeedMean, seedMean } from "../analysis/seeds.js";
import { macroCurve, speedupTable } from "../analysis/speedup.js";
import { mainTasks } from "../analysis/summary.js";
import { trainClock } from "../analysis/trainClock.js";
import { findLanguage } from "../corpus/shards/languages.js";
import { isFinished, type Run, readRun } from "../run/readRun.js";
import { type EvalPoint, meanSourceUse, runFile } from "../run/runFiles.js";
import { type DistillationResult, distillationResult } from "./distillationResults.js";
import { readDivergence } from "./runStudy.js";
import type { Study } from "./studyFile.js";
import { type StudyTaskMean, type StudyTaskResult, studyTaskMeans, studyTaskResults } from "./taskResults.js";

/** Figures of one finished run: means over languages, the task in a language's own script standing for it. */
export interface RunResult {
  variant: string;
  seed: number;
  /** Quality and source use by step; source use null where it was not measured. */
  curve: { step: number; quality: number; sourceUse: number | null }[];
  /** Against the baseline's run of the same seed; null where there is none: the mean over languages of step speed-ups, and the gain at the end. */
  speedup: number | null;
  gain: number | null;
}

/** A row of the study's table. */
export interface VariantResult {
  variant: string;
  /** Of a sparse layer; 1 is dense. */
  experts: number | null;
  parameters: number | null;
  /** Of the dense twin, besides embeddings. */
  activeParameters: number | null;
  flopsPerStep: number | null;
  positions: number | null;
  tokensPerStep: number | null;
  finished: number;
  diverged: number;
  quality: SeedMean | null;
  sourceUse: SeedMean | null;
  /** Step at which the mean curve first is as good as the study's threshold; over the seeds that got there. */
  stepsToThreshold: SeedMean | null;
  reached: number;
  speedup: SeedMean | null;
  gain: SeedMean | null;
}

/** What a study found: a pure function of its runs' evaluations, without a clock. */
export interface StudyResults {
  title: string;
  /** Which of a run's evaluations counts in qualities, metrics and shares: its last, or its best. */
  result: "last" | "best";
  baseline: string;
  threshold: number | null;
  seeds: number[];
  variants: VariantResult[];
  runs: RunResult[];
  /** Of variants with a teacher, against the baseline as the student that had none. */
  distilled: DistillationResult[];
  /** Metrics of fine-tuned runs. */
  tasks: StudyTaskResult[];
  /** The same as means over each task's languages. */
  taskMeans: StudyTaskMean[];
  missing: { variant: string; seed: number }[];
}

/** Times, which another machine or a busy one changes. */
export interface StudyTimes {
  variant: string;
  /** Training seconds of a run, to its end and to the threshold; positions a second. */
  seconds: SeedMean | null;
  secondsToThreshold: SeedMean | null;
  positionsPerSecond: SeedMean | null;
}

/** Reads what a study's runs have found so far. */
export async function studyResults(study: Study): Promise<{ results: StudyResults; times: StudyTimes[] }> {
  const runs = new Map<string, Run>();
  const diverged = new Set<string>();
  const key = (variant: string, seed: number): string => JSON.stringify([variant, seed]);
  for (const run of study.runs) {
    if (await readDivergence(run)) diverged.add(key(run.variant, run.seed));
    else if (existsSync(join(run.directory, runFile.evalPoint(0)))) {
      const read = await readRun(run.directory);
      if (isFinished(read)) runs.set(key(run.variant, run.seed), read);
    }
  }
  const codes = commonLanguages([...runs.values()]);
  const results = study.runs.flatMap(({ variant, seed }): RunResult[] => {
    const run = runs.get(key(variant, seed));
    if (!run) return [];
    const twin = variant === study.baseline ? undefined : runs.get(key(study.baseline, seed));
    return [{ variant, seed, curve: curveOfRun(run, codes), ...compared(twin, run, codes) }];
  });
  /** The evaluation that is a run's result. */
  const counted = ({ curve }: Pick<RunResult, "curve">): RunResult["curve"][number] => {
    const last = curve[curve.length - 1];
    return study.result === "last"
      ? last
      : curve.reduce((best, point) => (point.quality > best.quality ? point : best));
  };
  const resultOf = (run: Run): EvalPoint => {
    const { step } = counted({ curve: curveOfRun(run, codes) });
    return run.points.find((point) => point.step === step)!;
  };
  const ends = (variant: string): number[] =>
    results.filter((result) => result.variant === variant).map((result) => counted(result).quality);
  const threshold = study.threshold ?? seedMean(ends(study.baseline))?.mean ?? null;
  const variants = study.variants.map((variant) => {
    const mine = results.filter((result) => result.variant === variant);
    const of = (value: (result: RunResult) => number | null): SeedMean | null =>
      seedMean(mine.map(value).filter((each) => each !== null));
    const reaches = mine.map((result) => reach(result, threshold)).filter((step) => step !== null);
    const description = mine.length > 0 ? runs.get(key(variant, mine[0].seed))?.description : undefined;
    return {
      variant,
      experts: description ? Math.max(description.experts, 1) : null,
      parameters: description?.parameters ?? null,
      activeParameters: description?.activeParameters ?? null,
      flopsPerStep: description?.flopsPerStep ?? null,
      positions: description ? description.tokensPerStep * description.totalSteps : null,
      tokensPerStep: description?.tokensPerStep ?? null,
      finished: mine.length,
      diverged: study.seeds.filter((seed) => diverged.has(key(variant, seed))).length,
      quality: of((result) => counted(result).quality),
      sourceUse: of((result) => counted(result).sourceUse),
      stepsToThreshold: seedMean(reaches),
      reached: reaches.length,
      speedup: of(({ speedup }) => speedup),
      gain: of(({ gain }) => gain),
    };
  });
  const times = study.variants.map((variant) =>
    timesOf(variant, results, threshold, (seed) => runs.get(key(variant, seed))),
  );
  const missing = study.runs
    .filter(({ variant, seed }) => !runs.has(key(variant, seed)) && !diverged.has(key(variant, seed)))
    .map(({ variant, seed }) => ({ variant, seed }));
  const { title, baseline, seeds, result } = study;
  const byVariant = new Map(
    study.variants.map((variant) => [
      variant,
      seeds.map((seed) => runs.get(key(variant, seed))).filter((run) => run !== undefined),
    ]),
  );
  const [tasks, taskMeans] = [studyTaskResults(byVariant, resultOf), studyTaskMeans(byVariant, resultOf)];
  const distilled: DistillationResult[] = [];
  for (const variant of study.variants.filter((name) => name !== baseline)) {
    const pairs = seeds.flatMap((seed) => {
      const [run, twin] = [runs.get(key(variant, seed)), runs.get(key(baseline, seed))];
      return run && twin ? [{ run, baseline: twin }] : [];
    });
    const result = await distillationResult(variant, pairs, codes, resultOf);
    if (result) distilled.push(result);
  }
  return {
    results: {
      title,
      result,
      baseline,
      threshold,
      seeds,
      variants,
      runs: results,
      distilled,
      tasks,
      taskMeans,
      missing,
    },
    times,
  };
}

/** Main tasks that every evaluation of every run has. */
function commonLanguages(runs: readonly Run[]): string[] {
  const points = runs.flatMap((run) => run.points);
  const all = Object.keys(points[0]?.languages ?? {}).filter((code) =>
    points.every(({ languages }) => Object.hasOwn(languages, code)),
  );
  const main = mainTasks(all, (code) => findLanguage(code)?.language ?? code);
  return all.filter((code) => main.has(code));
}

function curveOfRun(run: Run, codes: readonly string[]): RunResult["curve"] {
  const { quality } = macroCurve(run.points, codes);
  return run.points.map(({ step, languages }, i) => ({
    step,
    quality: quality[i],
    sourceUse: meanSourceUse(languages, [...codes]),
  }));
}

function compared(twin: Run | undefined, run: Run, codes: readonly string[]): Pick<RunResult, "speedup" | "gain"> {
  if (!twin) return { speedup: null, gain: null };
  const rows = speedupTable([twin], [run], { resamples: 0 }).rows.filter(({ code }) => codes.includes(code));
  return {
    speedup: seedMean(rows.map(({ step }) => step.value))?.mean ?? null,
    gain: seedMean(rows.map(({ gain }) => gain.value))?.mean ?? null,
  };
}

/** The first step at which the run's mean curve, made to rise, is at the threshold; null where it never is. */
function reach({ curve }: RunResult, threshold: number | null): number | null {
  if (threshold === null) return null;
  const risen = rising({ steps: curve.map(({ step }) => step), quality: curve.map(({ quality }) => quality) });
  return firstReach(risen, threshold)?.step ?? null;
}

function timesOf(
  variant: string,
  results: readonly RunResult[],
  threshold: number | null,
  runOf: (seed: number) => Run | undefined,
): StudyTimes {
  const mine = results.filter((result) => result.variant === variant);
  const timed = mine.flatMap((result) => {
    const run = runOf(result.seed)!;
    const seconds = trainClock(
      run.metrics,
      run.points.map(({ step }) => step),
    );
    return seconds && Number.isFinite(seconds(run.description.totalSteps)) ? [{ result, run, seconds }] : [];
  });
  const { totalSteps: end = 0, tokensPerStep = 0 } = timed[0]?.run.description ?? {};
  return {
    variant,
    seconds: seedMean(timed.map(({ seconds }) => seconds(end))),
    secondsToThreshold: seedMean(
      timed.flatMap(({ result, seconds }) => {
        const step = reach(result, threshold);
        return step === null || !Number.isFinite(seconds(step)) ? [] : [seconds(step)];
      }),
    ),
    positionsPerSecond: seedMean(timed.map(({ seconds }) => (end * tokensPerStep) / seconds(end))),
  };
}
