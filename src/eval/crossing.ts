/**
 * When two learning curves are equally good. Quality is negative log perplexity in nats per target token, higher is better.
 *
 * Between two evaluations a curve is taken as linear in the step. Learning curves bend downwards (each step helps less), so the
 * straight line lies under the curve and a crossing is dated late: a candidate's speed-up is never overstated by interpolation.
 * Curves are not smoothed. "First step at which" is the definition of the paper, and on a curve that is not monotone the first
 * crossing is the crossing of its running maximum; a baseline that ends below its own best is reported instead (`speedup.ts`).
 */

/** One language's (or an average's) quality at each evaluation, by rising step. */
export interface Curve {
  steps: ArrayLike<number>;
  quality: ArrayLike<number>;
}

export interface Reach {
  /** The first step at which the curve is at the target, interpolated; at least 1. */
  step: number;
  /** It was there at the first evaluation of a trained model already: the true step is `step` or before. */
  before: boolean;
}

/**
 * The first step at which a curve reaches a quality, or undefined where it never does. An evaluation of the untrained model
 * (step 0) is no end of a straight line: what was reached between it and the first evaluation after it is a bound.
 */
export function firstReach({ steps, quality }: Curve, target: number): Reach | undefined {
  const first = steps[0] === 0 && steps.length > 1 ? 1 : 0;
  // A run that has only been evaluated untrained counts as one step of work: step 0 would make a ratio infinite.
  if (quality[first] >= target) return { step: Math.max(steps[first], 1), before: true };
  for (let i = first + 1; i < quality.length; i++) {
    if (quality[i] < target) continue;
    const share = (target - quality[i - 1]) / (quality[i] - quality[i - 1]);
    return { step: steps[i - 1] + share * (steps[i] - steps[i - 1]), before: false };
  }
  return undefined;
}

/** The steps at which baseline and candidate are equally good. */
export interface QualityMatch {
  /** Whose final quality is matched. `candidate`: the candidate never reached the baseline's, so it is asked the other way round. */
  of: "baseline" | "candidate";
  quality: number;
  baselineStep: number;
  candidateStep: number;
  /** `atLeast`: the candidate was there before its first evaluation (that at step 0 does not count). `atMost`: the baseline was. */
  bound: "none" | "atLeast" | "atMost";
}

/**
 * Matches a candidate to the baseline's final quality (Switch Transformers, footnote 9 and Figure 8): the baseline's step is its
 * last, the candidate's the first at which it is as good. A candidate that never is as good is matched at its own last step
 * with the first step at which the baseline was that good.
 */
export function matchQuality(baseline: Curve, candidate: Curve): QualityMatch {
  const baselineEnd = baseline.steps.length - 1;
  const candidateEnd = candidate.steps.length - 1;
  const target = baseline.quality[baselineEnd];
  const reached = firstReach(candidate, target);
  if (reached) {
    return {
      of: "baseline",
      quality: target,
      baselineStep: Math.max(baseline.steps[baselineEnd], 1),
      candidateStep: reached.step,
      bound: reached.before ? "atLeast" : "none",
    };
  }
  const quality = candidate.quality[candidateEnd];
  // Never undefined: the candidate stayed below the baseline's last quality, so the baseline's last is above the candidate's.
  const { step, before } = firstReach(baseline, quality)!;
  return {
    of: "candidate",
    quality,
    baselineStep: step,
    candidateStep: Math.max(candidate.steps[candidateEnd], 1),
    bound: before ? "atMost" : "none",
  };
}
