import type { LearningRate } from "./config/runConfig.js";

/**
 * The learning rate of the update at `step`, counted from 0.
 *
 * - `inverse-sqrt`: base / sqrt(max(step, warmupSteps)): T5X's and mT5's. Constant at first, with no ramp up from 0 in spite of
 *   the name that the warm-up has there.
 * - `constant`: base.
 *
 * With `rampDownSteps` the rate goes linearly to 0 over that many last steps of `totalSteps` (T5 1.0: the last tenth; mT5: none).
 */
export function learningRateAt(rate: LearningRate, step: number, totalSteps: number): number {
  const full = rate.schedule === "constant" ? rate.base : rate.base / Math.sqrt(Math.max(step, rate.warmupSteps));
  return rate.rampDownSteps > 0 ? full * Math.min(1, (totalSteps - step) / rate.rampDownSteps) : full;
}
