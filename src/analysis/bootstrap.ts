import { randomStream } from "../base/random.js";

/** A value and the ends of its 95 % bootstrap interval; null where there is nothing to resample. */
export interface Estimate {
  value: number;
  interval: [number, number] | null;
}

/** One run's log probabilities on one language's validation examples, at each evaluation. */
export interface ExampleScores {
  steps: number[];
  /** Summed over an example's targets, [evaluations, examples] row-major. */
  logProbs: Float64Array;
}

/** The share that each run of a side has in each resample, [resamples][runs]; equal shares where left out. Shares add up to 1. */
export type RunShares = readonly Float64Array[];

/** Quality at each evaluation, [resamples, evaluations] row-major. */
export interface ResampledCurves {
  baseline: Float64Array;
  candidate: Float64Array;
}

/**
 * Shares of a side's runs, one set for each resample: the same ones in every language, since a run is lucky or not in all of them together. A mean
 * over runs with these shares has Student's t distribution about the plain mean, n − 1 degrees of freedom, so that its percentiles are the
 * interval that a t test would give ([decision 52](docs/decisions/0052-seeds-by-students-t.md)): drawing two or three runs with replacement never
 * leaves what they span, and holds the truth in 50 and 75 of 100 cases. Shares may be below 0 and above 1. A single run always has 1.
 *
 * @param key distinguishes sides that are drawn independently
 */
export function drawRuns(runs: number, resamples: number, seed: number, key: string): RunShares {
  const random = randomStream(seed, "bootstrap-runs", key);
  const freedom = runs - 1;
  return Array.from({ length: resamples }, () => {
    const z = Float64Array.from({ length: runs }, () => random.normal());
    const mean = z.reduce((sum, x) => sum + x, 0) / runs;
    let chiSquare = 0;
    for (let i = 0; i < freedom; i++) chiSquare += random.normal() ** 2;
    const scale = freedom > 0 ? Math.sqrt(freedom / chiSquare / (runs * freedom)) : 0;
    return z.map((x) => 1 / runs + scale * (x - mean));
  });
}

export interface ResampleOptions {
  resamples: number;
  seed: number;
  /** Of the language. */
  key: string;
  shares?: { baseline: RunShares; candidate: RunShares };
}

/**
 * Learning curves of one language on resampled validation examples: examples are drawn with replacement, the same ones for both
 * sides and all evaluations (a paired bootstrap), and quality is the draw's summed log probability over its target tokens, the mean over
 * a side's runs. A pure function of its arguments: each language has a random stream of its own.
 *
 * @param baseline scores of each run of the side, at the same steps
 * @param tokens target tokens of each example, [examples]
 */
export function resampleCurves(
  baseline: readonly ExampleScores[],
  candidate: readonly ExampleScores[],
  tokens: Float64Array,
  { resamples, seed, key, shares }: ResampleOptions,
): ResampledCurves {
  const random = randomStream(seed, "bootstrap", key);
  const examples = tokens.length;
  const weights = new Float64Array(examples);
  const curves = {
    baseline: new Float64Array(resamples * baseline[0].steps.length),
    candidate: new Float64Array(resamples * candidate[0].steps.length),
  };
  for (let r = 0; r < resamples; r++) {
    weights.fill(0);
    let drawn = 0;
    for (let i = 0; i < examples; i++) {
      const example = random.integer(examples);
      weights[example]++;
      drawn += tokens[example];
    }
    weightedQuality(baseline, shares?.baseline[r], weights, drawn, curves.baseline, r);
    weightedQuality(candidate, shares?.candidate[r], weights, drawn, curves.candidate, r);
  }
  return curves;
}

function weightedQuality(
  runs: readonly ExampleScores[],
  shares: Float64Array | undefined,
  weights: Float64Array,
  drawn: number,
  out: Float64Array,
  row: number,
): void {
  const examples = weights.length;
  const evaluations = runs[0].steps.length;
  for (const [run, { logProbs }] of runs.entries()) {
    const share = shares ? shares[run] : 1 / runs.length;
    for (let p = 0; p < evaluations; p++) {
      let sum = 0;
      for (let i = 0, at = p * examples; i < examples; i++, at++) sum += weights[i] * logProbs[at];
      out[row * evaluations + p] += (share * sum) / drawn;
    }
  }
}

/** The 2.5th and 97.5th percentiles, linear between order statistics; null where nothing was resampled. */
export function interval95(values: Float64Array): [number, number] | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
}

/**
 * The same, moved so that the resamples' median lies at the value. For averages over languages of what is no linear function of quality: a resample has
 * the noise of the examples and seeds twice, which moves a median of ratios to one side, in all resamples alike.
 */
export function centred95(values: Float64Array, value: number): [number, number] | null {
  const ends = interval95(values);
  if (!ends) return null;
  const shift = value - quantile(values.slice().sort(), 0.5);
  return [ends[0] + shift, ends[1] + shift];
}

/** Quantile of ascending values, linear between order statistics. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (position - low) * (sorted[high] - sorted[low]);
}
