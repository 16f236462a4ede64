import type { LearningRate } from "./config/optimizerConfig.js";

/**
 * The learning rate of the update at `step`, counted from 0. `base` is its peak.
 *
 * - `inverse-sqrt`: base / sqrt(max(step, warmupSteps)): T5X's and mT5's. Constant over the warm-up, with no ramp up from 0 in spite
 *   of the name that it has there; `warmupFrom` below 1 makes it a ramp.
 * - `constant`: base.
 * - `cosine`, `linear`: from base after the warm-up to `final`·base at `totalSteps`, along half a cosine or a line.
 * - `warmup-stable-decay`: base, and over the last `decaySteps` along a line to `final`·base.
 *
 * Over the first `warmupSteps` the rate goes linearly from `warmupFrom` of itself to all of itself. With `rampDownSteps` it goes
 * linearly to 0 over that many last steps of `totalSteps` (T5 1.0: the last tenth; mT5: none).
 */
export function learningRateAt(rate: LearningRate, step: number, totalSteps: number): number {
  const { warmupSteps = 0, warmupFrom = rate.schedule === "inverse-sqrt" ? 1 : 0 } = rate;
  const full = fullRate(rate, step, totalSteps);
  const risen = step < warmupSteps ? full * (warmupFrom + ((1 - warmupFrom) * (step + 1)) / warmupSteps) : full;
  const rampDownSteps = "rampDownSteps" in rate ? rate.rampDownSteps : 0;
  return rampDownSteps > 0 ? risen * Math.min(1, (totalSteps - step) / rampDownSteps) : risen;
}

/** Without warm-up and ramp. */
function fullRate(rate: LearningRate, step: number, totalSteps: number): number {
  /** How far the steps from `begin` to the end are done, from 0 to 1. */
  const done = (begin: number): number => Math.min(1, Math.max(0, (step - begin) / Math.max(1, totalSteps - begin)));
  switch (rate.schedule) {
    case "inverse-sqrt":
      return rate.base / Math.sqrt(Math.max(step, rate.warmupSteps));
    case "constant":
      return rate.base;
    case "cosine":
      return rate.base * (rate.final + ((1 - rate.final) * (1 + Math.cos(Math.PI * done(rate.warmupSteps)))) / 2);
    case "linear":
      return rate.base * (1 - (1 - rate.final) * done(rate.warmupSteps));
    case "warmup-stable-decay":
      return rate.base * (1 - (1 - rate.final) * done(totalSteps - rate.decaySteps));
  }
}

/** Whether a rate depends on how many steps there are in all: `steps` then decides the result of each of them. */
export function looksAhead(rate: LearningRate): boolean {
  return !("rampDownSteps" in rate) || rate.rampDownSteps > 0;
}
