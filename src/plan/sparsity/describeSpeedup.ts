import { count, figures, formatDuration, times } from "../../base/format.js";
import type { FittedLaw } from "./fittedLaw.js";
import type { SpeedupPlan } from "./planSpeedup.js";

/** The rows of a table: what each number of experts gives. */
export function speedupRows({ experts }: SpeedupPlan): string[][] {
  return [
    ["experts in every layer", "step speed-up", "95 % of resampled fits", "arXiv 2502.05172"],
    ...experts.map(({ experts: number, speedup, interval, published }) => [
      String(number),
      speedup === null ? "–" : times(speedup),
      interval ? `${figures(interval[0])} to ${figures(interval[1])}` : "–",
      times(published),
    ]),
  ];
}

/** What a law rests on. */
export function describeLaw(fitted: FittedLaw | undefined): string {
  if (!fitted) return "published constants alone; none is fitted to this program's own runs yet";
  const { runs, error, unseen } = fitted;
  const others = unseen
    ? `, ${figures(unseen.error)} on ${unseen.runs === 1 ? "a run that was" : `${unseen.runs} runs that were`} not fitted`
    : "";
  return `fitted to ${runs} runs of this program (error ${figures(error)} nats${others})`;
}

/**
 * What stands below the table.
 *
 * @param stepSeconds of the run on the hardware that was named
 */
export function speedupNotes(
  plan: SpeedupPlan,
  fitted: FittedLaw | undefined,
  { tokensPerStep, stepSeconds, hardware }: { tokensPerStep: number; stepSeconds: number; hardware: string },
): string[] {
  const budget = plan.worthwhile;
  const limits = (key: "activeParameters" | "positions"): string => plan.range[key].map(count).join(" to ");
  return [
    `law: ${describeLaw(fitted)}`,
    plan.best > 1
      ? `most at this size and budget: ${plan.best} experts`
      : "at this size and budget no number of experts is ahead of the dense model",
    ...(budget
      ? [
          `${times(budget.speedup)} is reached by ${budget.experts} experts from ${count(budget.positions)} positions on: ${Math.ceil(budget.positions / tokensPerStep).toLocaleString("en-US")} steps, ${roofTime((budget.positions / tokensPerStep) * stepSeconds)} on one ${hardware}`,
        ]
      : ["1.3× is reached at no budget"]),
    ...(plan.beyond.length > 0
      ? [
          `outside of what was fitted (${limits("activeParameters")} active parameters, ${limits("positions")} positions) in ${plan.beyond.join(" and ")}: an extrapolation`,
        ]
      : []),
  ];
}

/** So small a model is bound by the launches of its kernels, which a roofline does not have. */
function roofTime(seconds: number): string {
  return seconds < 60 ? "under a minute of arithmetic" : formatDuration(seconds);
}
