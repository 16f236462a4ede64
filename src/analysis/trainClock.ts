import type { MetricsLine } from "../run/runFiles.js";

/**
 * Training seconds (evaluation and checkpoints not counted) as a function of the step: linear between logged lines, from 0 at
 * step 0, and at the run's mean pace after the last line.
 *
 * @returns undefined where nothing was logged
 */
export function trainClock(lines: readonly MetricsLine[]): ((step: number) => number) | undefined {
  // A run that went on from a checkpoint may have logged a step twice: the later line is the one that counts.
  const seconds = new Map(lines.filter((line) => line.step > 0).map((line) => [line.step, line.trainSeconds]));
  if (seconds.size === 0) return undefined;
  const steps = [0, ...[...seconds.keys()].sort((a, b) => a - b)];
  const times = [0, ...steps.slice(1).map((step) => seconds.get(step)!)];
  const last = steps.length - 1;
  return (step) => {
    if (step >= steps[last]) return (times[last] * step) / steps[last];
    let low = 0;
    let high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (steps[middle] <= step) low = middle;
      else high = middle;
    }
    return times[low] + ((times[high] - times[low]) * (step - steps[low])) / (steps[high] - steps[low]);
  };
}
