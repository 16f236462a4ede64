import { centred95, type Estimate, quantile } from "./bootstrap.js";
import { type Measure, measures, type SpeedupTable } from "./speedup.js";

/** A measure over many languages. */
export interface MeasureSummary {
  /** Arithmetic, as in the paper. */
  mean: Estimate;
  median: Estimate;
  /** Share of the languages at `bigSpeedup` or more. */
  big: Estimate;
}

/** What the paper counts as a big speed-up: "91 % of languages benefit from a 4x+ speedup". */
export const bigSpeedup = 4;

export interface Summary {
  count: number;
  /** null where it was measured for no language. */
  measures: Record<Measure, MeasureSummary | null>;
  /** Languages whose step speed-up is above 1. */
  faster: number;
  /** Share of the languages whose final quality is better than the baseline's. */
  improved: Estimate;
  /** Languages whose gain's interval lies above 0, and below. */
  clearlyBetter: number;
  clearlyWorse: number;
  /** Mean final quality (macro averages: every language counts the same) and its gain. */
  baselineFinal: number;
  candidateFinal: number;
  gain: Estimate;
  /** How many values are bounds, and how many were asked the other way round. */
  atLeast: number;
  atMost: number;
  reversed: number;
}

/**
 * Averages over some of a table's rows. Intervals are centred on their values. They resample the validation examples of every language independently; the
 * languages themselves are all there are and are not resampled.
 *
 * @param include which rows, by code; at least one
 */
export function summarize({ rows, resamples }: SpeedupTable, include: (code: string) => boolean): Summary {
  const chosen = rows.map((_, i) => i).filter((i) => include(rows[i].code));
  const mine = chosen.map((i) => rows[i]);
  // A language with one example has nothing to resample and stands still at its value.
  const count = Math.max(0, ...chosen.map((i) => resamples[i].gain.length));
  const drawnOf = (key: Measure | "gain", values: number[]): Float64Array[] =>
    Array.from({ length: count }, (_, r) =>
      Float64Array.from(chosen, (i, at) => (resamples[i].gain.length > 0 ? resamples[i][key][r] : values[at])),
    );
  const estimate = (values: number[], drawn: Float64Array[], statistic: (v: ArrayLike<number>) => number): Estimate => {
    const value = statistic(values);
    return { value, interval: centred95(Float64Array.from(drawn, statistic), value) };
  };
  const estimateShare = (values: number[], drawn: Float64Array[], test: (value: number) => boolean): Estimate => {
    const { value, interval } = estimate(values, drawn, (v) => share(v, test));
    return { value, interval: interval && [Math.max(interval[0], 0), Math.min(interval[1], 1)] };
  };
  const summaryOf = (measure: Measure): MeasureSummary | null => {
    const values = mine.map((row) => row[measure]?.value ?? Number.NaN);
    if (values.some(Number.isNaN)) return null;
    const drawn = drawnOf(measure, values);
    return {
      mean: estimate(values, drawn, mean),
      median: estimate(values, drawn, median),
      big: estimateShare(values, drawn, (x) => x >= bigSpeedup),
    };
  };
  const gains = mine.map((row) => row.gain.value);
  const drawnGains = drawnOf("gain", gains);
  const countWhere = (test: (row: (typeof rows)[number]) => boolean): number => mine.filter(test).length;
  return {
    count: mine.length,
    measures: Object.fromEntries(measures.map((m) => [m, summaryOf(m)])) as Summary["measures"],
    faster: countWhere(({ step }) => step.value > 1),
    improved: estimateShare(gains, drawnGains, (x) => x > 0),
    clearlyBetter: countWhere(({ gain }) => gain.interval !== null && gain.interval[0] > 0),
    clearlyWorse: countWhere(({ gain }) => gain.interval !== null && gain.interval[1] < 0),
    baselineFinal: mean(mine.map((row) => row.baselineFinal)),
    candidateFinal: mean(mine.map((row) => row.candidateFinal)),
    gain: estimate(gains, drawnGains, mean),
    atLeast: countWhere(({ match }) => match.bound === "atLeast"),
    atMost: countWhere(({ match }) => match.bound === "atMost"),
    reversed: countWhere(({ match }) => match.of === "candidate"),
  };
}

/**
 * The task that stands for each language: the one in the language's own script; a Latin-script variant (`ja-Latn`) only where
 * that one is absent. Variants count as tasks of their own, never twice for one language.
 *
 * @param languageOf the language a task belongs to: `ja` for `ja-Latn`
 */
export function mainTasks(codes: readonly string[], languageOf: (code: string) => string): Set<string> {
  const main = new Map<string, string>();
  for (const code of codes) {
    const language = languageOf(code);
    if (code === language || !main.has(language)) main.set(language, code);
  }
  return new Set(main.values());
}

export interface HistogramBin {
  low: number;
  high: number;
  count: number;
}

/** Counts in equal bins with round edges, about twenty for a hundred values; the last bin holds its upper edge too. */
export function histogram(values: readonly number[]): HistogramBin[] {
  const target = Math.min(Math.max(2 * Math.sqrt(values.length), 4), 20);
  const lowest = Math.min(...values);
  const highest = Math.max(...values);
  const width = roundWidth(Math.max(highest - lowest, Math.abs(highest) * 0.05, 1e-9) / target);
  const first = Math.floor(lowest / width + 1e-9);
  const bins = Math.max(Math.ceil(highest / width - 1e-9) - first, 1);
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[Math.min(Math.floor(value / width - first + 1e-9), bins - 1)]++;
  return counts.map((count, i) => ({
    low: round((first + i) * width),
    high: round((first + i + 1) * width),
    count,
  }));
}

/** Values in each of the bins between `edges`, [edges − 1]; the last bin holds its upper edge too. */
export function countBetween(values: readonly number[], edges: readonly number[]): number[] {
  return edges.slice(1).map((high, i) => {
    const isLast = i === edges.length - 2;
    return values.filter((value) => value >= edges[i] && (value < high || (isLast && value <= high))).length;
  });
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function roundWidth(width: number): number {
  const power = 10 ** Math.floor(Math.log10(width));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= width * (1 - 1e-9))!;
}

const round = (x: number): number => Number(x.toPrecision(12));

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

function median(values: ArrayLike<number>): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

function share(values: ArrayLike<number>, test: (value: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (test(values[i])) count++;
  return count / values.length;
}
