import type { MetricsLine } from "../run/runFiles.js";

/**
 * Training seconds (evaluation and checkpoints not counted) as a function of the step: linear between evaluations, which have a line
 * of their own step each, from 0 at step 0. Lines between them are not asked, so that one that is lost changes nothing.
 *
 * @param evaluated steps of the run's evaluations, rising
 * @returns undefined where no evaluated step has a time; the function is NaN where the step lies beside an evaluation whose time is lost,
 *   and everywhere where the times do not rise
 */
export function trainClock(
  lines: readonly MetricsLine[],
  evaluated: readonly number[],
): ((step: number) => number) | undefined {
  // A run that went on from a checkpoint may have logged a step twice: the later line is the one that counts.
  const seconds = new Map(lines.map((line) => [line.step, line.trainSeconds]));
  const steps = [0, ...evaluated.filter((step) => step > 0)];
  const times = steps.map((step) => (step === 0 ? 0 : (seconds.get(step) ?? Number.NaN)));
  const known = times.filter((time) => !Number.isNaN(time));
  if (known.length < 2) return undefined;
  if (known.some((time, i) => i > 0 && time <= known[i - 1])) return () => Number.NaN;
  return (step) => {
    const high = steps.findIndex((at) => at >= step);
    if (high < 0) return Number.NaN;
    if (steps[high] === step) return times[high];
    const share = (step - steps[high - 1]) / (steps[high] - steps[high - 1]);
    return times[high - 1] + share * (times[high] - times[high - 1]);
  };
}
