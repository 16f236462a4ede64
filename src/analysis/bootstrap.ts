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

/** How often each run of a side is drawn in each resample, [resamples][runs]; every run once where left out. */
export type RunDraws = readonly Int32Array[];

/** Quality at each evaluation, [resamples, evaluations] row-major. */
export interface ResampledCurves {
  baseline: Float64Array;
  candidate: Float64Array;
}

/**
 * Draws of a side's runs with replacement, one for each resample: the same ones in every language, since a run is lucky or not in all of
 * them together. A single run is always drawn.
 *
 * @param key distinguishes sides that are drawn independently
 */
export function drawRuns(runs: number, resamples: number, seed: number, key: string): RunDraws {
  const random = randomStream(seed, "bootstrap-runs", key);
  return Array.from({ length: resamples }, () => {
    const draw = new Int32Array(runs);
    for (let i = 0; i < runs; i++) draw[runs > 1 ? random.integer(runs) : 0]++;
    return draw;
  });
}

export interface ResampleOptions {
  resamples: number;
  seed: number;
  /** Of the language. */
  key: string;
  draws?: { baseline: RunDraws; candidate: RunDraws };
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
  { resamples, seed, key, draws }: ResampleOptions,
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
    weightedQuality(baseline, draws?.baseline[r], weights, drawn, curves.baseline, r);
    weightedQuality(candidate, draws?.candidate[r], weights, drawn, curves.candidate, r);
  }
  return curves;
}

function weightedQuality(
  runs: readonly ExampleScores[],
  draw: Int32Array | undefined,
  weights: Float64Array,
  drawn: number,
  out: Float64Array,
  row: number,
): void {
  const examples = weights.length;
  const evaluations = runs[0].steps.length;
  for (const [run, { logProbs }] of runs.entries()) {
    const times = draw ? draw[run] : 1;
    if (times === 0) continue;
    for (let p = 0; p < evaluations; p++) {
      let sum = 0;
      for (let i = 0, at = p * examples; i < examples; i++, at++) sum += weights[i] * logProbs[at];
      out[row * evaluations + p] += (times * sum) / (drawn * runs.length);
    }
  }
}

/** The 2.5th and 97.5th percentiles, linear between order statistics; null where nothing was resampled. */
export function interval95(values: Float64Array): [number, number] | null {
  if (values.length === 0) return null;
  const sorted = values.slice().sort();
  return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
}

/** Quantile of ascending values, linear between order statistics. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (position - low) * (sorted[high] - sorted[low]);
}
