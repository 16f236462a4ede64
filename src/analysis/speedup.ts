import type { EvalPoint } from "../run/runFiles.js";
import {
  drawRuns,
  type Estimate,
  type ExampleScores,
  interval95,
  type ResampledCurves,
  resampleCurves,
} from "./bootstrap.js";
import { type Curve, matchQuality, type QualityMatch, rising } from "./crossing.js";
import { arePaired, meanPoints, type Side } from "./sides.js";
import { trainClock } from "./trainClock.js";

/** What a speed-up counts: optimizer steps, training seconds, or floating-point operations. */
export const measures = ["step", "time", "flops"] as const;
export type Measure = (typeof measures)[number];

/** How much sooner the candidate is as good as the baseline. Above 1: sooner. */
export interface Speedup {
  match: QualityMatch;
  step: Estimate;
  /** null where a time that it takes is not known. */
  time: Estimate | null;
  flops: Estimate;
}

export interface LanguageSpeedup extends Speedup {
  code: string;
  /** Validation examples. */
  examples: number;
  baselineFinal: number;
  candidateFinal: number;
  /** candidateFinal − baselineFinal, nats per target token. */
  gain: Estimate;
}

/** Resampled values of one language, [resamples] each; empty where the language has a single example. */
export interface LanguageResamples {
  gain: Float64Array;
  step: Float64Array;
  time: Float64Array;
  flops: Float64Array;
}

export interface SpeedupTable {
  rows: LanguageSpeedup[];
  /** Same order as `rows`. */
  resamples: LanguageResamples[];
  /** Evaluated languages that only one of the runs has: left out. */
  leftOut: string[];
}

export interface SpeedupOptions {
  resamples?: number;
  seed?: number;
}

/**
 * Step, time and FLOP speed-up of a candidate over a baseline, language by language: the baseline's step over the first
 * candidate step at which the candidate is as good as the finished baseline (Switch Transformers, footnote 9 and Figure 8; see
 * `matchQuality`), with 95 % intervals over validation examples and, where a side has several runs, over seeds by Student's t. Final quality is that
 * of the curve that was made to rise. Sides are compared as they are: `cutToCommonEnd` before.
 */
export function speedupTable(
  baseline: Side,
  candidate: Side,
  { resamples = 1000, seed = 0 }: SpeedupOptions = {},
): SpeedupTable {
  const cost = costs(baseline, candidate);
  const means = { baseline: meanPoints(baseline), candidate: meanPoints(candidate) };
  const codes = commonLanguages(means.baseline, means.candidate);
  const shares = {
    baseline: drawRuns(baseline.length, resamples, seed, "baseline"),
    candidate: drawRuns(candidate.length, resamples, seed, arePaired(baseline, candidate) ? "baseline" : "candidate"),
  };
  const table: SpeedupTable = { rows: [], resamples: [], leftOut: codes.leftOut };
  for (const code of codes.common) {
    const tokens = Float64Array.from(means.baseline[0].languages[code].exampleTokens);
    const curves = { baseline: curveOf(means.baseline, code), candidate: curveOf(means.candidate, code) };
    const drawn = resampleCurves(scoresOf(baseline, code), scoresOf(candidate, code), tokens, {
      resamples: tokens.length > 1 ? resamples : 0,
      seed,
      key: code,
      shares,
    });
    const drawnValues = resampleSpeedups(drawn, curves.baseline.steps, curves.candidate.steps, cost);
    const match = matchQuality(curves.baseline, curves.candidate);
    const baselineFinal = last(rising(curves.baseline).quality);
    const candidateFinal = last(rising(curves.candidate).quality);
    table.resamples.push(drawnValues);
    table.rows.push({
      code,
      examples: tokens.length,
      baselineFinal,
      candidateFinal,
      gain: { value: candidateFinal - baselineFinal, interval: interval95(drawnValues.gain) },
      match,
      ...estimates(match, drawnValues, cost),
    });
  }
  return table;
}

/** What the steps of both sides cost. */
interface Costs {
  baseline: { seconds: ((step: number) => number) | undefined; flops: number };
  candidate: { seconds: ((step: number) => number) | undefined; flops: number };
}

function costs(baseline: Side, candidate: Side): Costs {
  const of = (side: Side): Costs["baseline"] => {
    const clocks = side.map(({ metrics, points }) =>
      trainClock(
        metrics,
        points.map(({ step }) => step),
      ),
    );
    return {
      seconds: clocks.every((clock) => clock !== undefined)
        ? (step) => clocks.reduce((sum, clock) => sum + clock(step), 0) / clocks.length
        : undefined,
      flops: side[0].description.flopsPerStep,
    };
  };
  return { baseline: of(baseline), candidate: of(candidate) };
}

function ratios(
  { baselineStep, candidateStep }: QualityMatch,
  { baseline, candidate }: Costs,
): Record<Measure, number> {
  const time =
    baseline.seconds && candidate.seconds
      ? baseline.seconds(baselineStep) / candidate.seconds(candidateStep)
      : Number.NaN;
  const step = baselineStep / candidateStep;
  return { step, time, flops: (step * baseline.flops) / candidate.flops };
}

function estimates(match: QualityMatch, drawn: LanguageResamples, cost: Costs): Omit<Speedup, "match"> {
  const value = ratios(match, cost);
  const isKnown = [value.time, ...drawn.time].every(Number.isFinite);
  return {
    step: { value: value.step, interval: interval95(drawn.step) },
    time: isKnown ? { value: value.time, interval: interval95(drawn.time) } : null,
    flops: { value: value.flops, interval: interval95(drawn.flops) },
  };
}

function resampleSpeedups(
  drawn: ResampledCurves,
  baselineSteps: ArrayLike<number>,
  candidateSteps: ArrayLike<number>,
  cost: Costs,
): LanguageResamples {
  const count = drawn.baseline.length / baselineSteps.length;
  const values: LanguageResamples = {
    gain: new Float64Array(count),
    step: new Float64Array(count),
    time: new Float64Array(count),
    flops: new Float64Array(count),
  };
  for (let r = 0; r < count; r++) {
    const baseline = drawn.baseline.subarray(r * baselineSteps.length, (r + 1) * baselineSteps.length);
    const candidate = drawn.candidate.subarray(r * candidateSteps.length, (r + 1) * candidateSteps.length);
    const match = matchQuality(
      { steps: baselineSteps, quality: baseline },
      { steps: candidateSteps, quality: candidate },
    );
    const ratio = ratios(match, cost);
    for (const measure of measures) values[measure][r] = ratio[measure];
    const end = (quality: Float64Array, steps: ArrayLike<number>): number => last(rising({ steps, quality }).quality);
    values.gain[r] = end(candidate, candidateSteps) - end(baseline, baselineSteps);
  }
  return values;
}

/** A language's quality at every evaluation. */
export function curveOf(points: readonly EvalPoint[], code: string): Curve {
  return {
    steps: points.map((point) => point.step),
    quality: points.map((point) => point.languages[code].negLogPerplexity),
  };
}

/** The speed-up of the mean curve: every language counts the same. No interval. */
export function macroSpeedup(baseline: Side, candidate: Side, codes: readonly string[]): Speedup {
  const match = matchQuality(macroCurve(meanPoints(baseline), codes), macroCurve(meanPoints(candidate), codes));
  const none = new Float64Array(0);
  const cost = costs(baseline, candidate);
  return { match, ...estimates(match, { gain: none, step: none, time: none, flops: none }, cost) };
}

/** The unweighted mean over languages at every evaluation. */
export function macroCurve(points: readonly EvalPoint[], codes: readonly string[]): Curve {
  return {
    steps: points.map((point) => point.step),
    quality: points.map(
      ({ languages }) => codes.reduce((sum, code) => sum + languages[code].negLogPerplexity, 0) / codes.length,
    ),
  };
}

function scoresOf(side: Side, code: string): ExampleScores[] {
  return side.map(({ points }) => ({
    steps: points.map((point) => point.step),
    logProbs: Float64Array.from(points.flatMap((point) => point.languages[code].exampleLogProbs)),
  }));
}

function commonLanguages(
  baseline: readonly EvalPoint[],
  candidate: readonly EvalPoint[],
): { common: string[]; leftOut: string[] } {
  const everywhere = (points: readonly EvalPoint[]): Set<string> =>
    new Set(
      Object.keys(points[0].languages).filter((code) =>
        points.every(({ languages }) => Object.hasOwn(languages, code)),
      ),
    );
  const [mine, theirs] = [everywhere(baseline), everywhere(candidate)];
  const all = new Set([...baseline, ...candidate].flatMap(({ languages }) => Object.keys(languages)));
  const common = [...mine].filter((code) => theirs.has(code)).sort();
  return { common, leftOut: [...all].filter((code) => !common.includes(code)).sort() };
}

function last(values: ArrayLike<number>): number {
  return values[values.length - 1];
}
