import { figures, formatBytes, formatDuration, plural } from "../../base/format.js";
import { describePlan } from "../../plan/planTraining.js";
import type { RunPlan } from "./planRun.js";

/** A plan as lines for a reader. */
export function describeRunPlan(plan: RunPlan): string[] {
  const { name, run, time, memory, disk, tokensPerExpert, steps, training, model, backend } = plan;
  const stepTime = `${figures(time.step)} s`;
  const lines = [
    `plan of ${name} in ${run}; nothing was trained`,
    ...describePlan(training, model, steps),
    `  backend            ${backend}`,
    `  time               ${formatDuration(time.total)}: ${plural(steps, "step")} of ${stepTime}, ${plural(time.evaluations, "evaluation")} of ${figures(time.evaluation)} s, checkpoints not counted`,
    `  memory             ${formatBytes(memory.needed)} of ${formatBytes(memory.limit)}; largest batch that fits: about ${memory.largestBatch.toLocaleString("en-US")} examples`,
    `  disk               ${formatBytes(disk.total)} of ${formatBytes(disk.free)} free: ${plural(disk.checkpoints, "checkpoint")} of ${formatBytes(disk.checkpoint)}, one of them while it is written`,
  ];
  if (tokensPerExpert) {
    const { encoder, decoder } = tokensPerExpert;
    lines.push(
      `  tokens an expert   ${figures(encoder)} a step in an encoder layer, ${figures(decoder)} in a decoder layer`,
    );
  }
  const slowest = Math.max(...Object.values(training.epochs));
  if (slowest > mostEpochs) {
    lines.push(
      `  repetition         a language is read ${figures(slowest)} times; beyond about ${mostEpochs} times more steps teach little`,
    );
  }
  return lines;
}

/** Repeated data is nearly as good as new up to here (Muennighoff et al. 2023, arXiv 2305.16264, section 5). */
export const mostEpochs = 4;
