/**
 * When two learning curves are equally good. Quality is negative log perplexity in nats per target token, higher is better.
 *
 * Between two evaluations a curve is taken as linear in the step. Learning curves bend downwards (each step helps less), so the
 * straight line lies under the curve and a crossing is dated late: a candidate's speed-up is never overstated by interpolation.
 *
 * A dip in a learning curve is noise of measurement, and a first crossing of a noisy curve comes too early. So curves are first
 * made to rise (`isotonicRegression.ts`), which leaves a curve without dips as it is.
 */

import { isotonicRegression } from "./isotonicRegression.js";

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
 * Matches a candidate to the baseline's final quality (Switch Transformers, footnote 9 and Figure 8), or the baseline to the
 * candidate's where that is the lower one: for each of them the first step at which it is that good. On curves that rise to
 * their end the run that sets the quality is there at its last step; a run against itself always gives a ratio of 1.
 *
 * In runs of one length a candidate that ends better is never slower, and one that ends worse never faster: where a flat end of a
 * curve would say so, both are dated alike.
 */
export function matchQuality(baseline: Curve, candidate: Curve): QualityMatch {
  const [risingBaseline, risingCandidate] = [rising(baseline), rising(candidate)];
  const ends = { baseline: last(risingBaseline.quality), candidate: last(risingCandidate.quality) };
  const of = ends.candidate >= ends.baseline ? "baseline" : "candidate";
  // Never undefined: neither curve ends below the lower of both ends.
  const reach = {
    baseline: firstReach(risingBaseline, ends[of])!,
    candidate: firstReach(risingCandidate, ends[of])!,
  };
  const equal = ends.candidate === ends.baseline;
  let [baselineStep, candidateStep] = [reach.baseline.step, reach.candidate.step];
  if (last(baseline.steps) === last(candidate.steps)) {
    if (of === "baseline") candidateStep = Math.min(candidateStep, baselineStep);
    else baselineStep = Math.min(baselineStep, candidateStep);
  }
  const bound = equal && reach.candidate.before === reach.baseline.before ? "none" : boundOf(of, reach);
  return { of, quality: ends[of], baselineStep, candidateStep, bound };
}

function boundOf(of: QualityMatch["of"], reach: Record<"baseline" | "candidate", Reach>): QualityMatch["bound"] {
  if (of === "baseline") return reach.candidate.before ? "atLeast" : "none";
  return reach.baseline.before ? "atMost" : "none";
}

/** A curve made to rise, as speed-ups are read off it and as charts draw it. */
export function rising({ steps, quality }: Curve): Curve {
  return { steps, quality: isotonicRegression(quality) };
}

function last(values: ArrayLike<number>): number {
  return values[values.length - 1];
}
