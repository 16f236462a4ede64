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

/** Quality at each evaluation, [resamples, evaluations] row-major. */
export interface ResampledCurves {
  baseline: Float64Array;
  candidate: Float64Array;
}

/**
 * Learning curves of one language on resampled validation examples: examples are drawn with replacement, the same ones for both
 * runs and all evaluations (a paired bootstrap), and quality is the draw's summed log probability over its target tokens.
 * A pure function of its arguments: each language has a random stream of its own.
 *
 * @param tokens target tokens of each example, [examples]
 */
export function resampleCurves(
  baseline: ExampleScores,
  candidate: ExampleScores,
  tokens: Float64Array,
  { resamples, seed, key }: { resamples: number; seed: number; key: string },
): ResampledCurves {
  const random = randomStream(seed, "bootstrap", key);
  const examples = tokens.length;
  const weights = new Float64Array(examples);
  const curves = {
    baseline: new Float64Array(resamples * baseline.steps.length),
    candidate: new Float64Array(resamples * candidate.steps.length),
  };
  for (let r = 0; r < resamples; r++) {
    weights.fill(0);
    let drawn = 0;
    for (let i = 0; i < examples; i++) {
      const example = random.integer(examples);
      weights[example]++;
      drawn += tokens[example];
    }
    weightedQuality(baseline, weights, drawn, curves.baseline, r);
    weightedQuality(candidate, weights, drawn, curves.candidate, r);
  }
  return curves;
}

function weightedQuality(
  { steps, logProbs }: ExampleScores,
  weights: Float64Array,
  tokens: number,
  out: Float64Array,
  row: number,
): void {
  const examples = weights.length;
  for (let p = 0; p < steps.length; p++) {
    let sum = 0;
    for (let i = 0, at = p * examples; i < examples; i++, at++) sum += weights[i] * logProbs[at];
    out[row * steps.length + p] = sum / tokens;
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
