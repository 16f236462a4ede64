import {
  type LawRange,
  type LawSetting,
  lawSpeedup,
  positionsForSpeedup,
  publishedLaw,
  publishedRange,
  type ScalingLaw,
} from "../../analysis/scalingLaw.js";
import type { FittedLaw } from "./fittedLaw.js";

/** What a number of experts gives. */
export interface ExpertsPlan {
  experts: number;
  /** By the law of this program's runs, with the middle 95 % of its resampled fits; null where there is none. */
  speedup: number | null;
  interval: [number, number] | null;
  /** By the constants of arXiv 2502.05172. */
  published: number;
}

export interface SpeedupPlan {
  activeParameters: number;
  positions: number;
  experts: ExpertsPlan[];
  /** With the highest speed-up; 1 where no number of experts is above 1. */
  best: number;
  /** The smallest budget at which some number of experts is `speedup` times as fast. */
  worthwhile: { speedup: number; experts: number; positions: number } | null;
  /** What the law was fitted to, and in what of it the run lies outside. */
  range: LawRange;
  beyond: string[];
}

/** Beyond 64 experts no law of runs so small says anything. */
const choices = [2, 4, 8, 16, 32, 64];

/** What sparsity is worth its memory for. */
const worthwhile = 1.3;

/**
 * Step speed-up of a model with experts in every feed-forward layer over its dense twin, by number of experts.
 *
 * @param run the dense twin's parameters besides embeddings, and the positions of the whole run
 */
export function planSpeedup(run: Omit<LawSetting, "experts">, fitted: FittedLaw | undefined): SpeedupPlan {
  const { law, range } = fitted ?? { law: publishedLaw, range: publishedRange };
  const experts = choices.map((count): ExpertsPlan => {
    const setting = { ...run, experts: count };
    return {
      experts: count,
      speedup: fitted ? lawSpeedup(fitted.law, setting) : null,
      interval: fitted ? middle(fitted.resampled.map((each) => lawSpeedup(each, setting))) : null,
      published: lawSpeedup(publishedLaw, setting),
    };
  });
  const best = experts.reduce((most, each) => (value(each) > value(most) ? each : most));
  return {
    ...run,
    experts,
    best: value(best) > 1 ? best.experts : 1,
    worthwhile: smallestBudget(law, run.activeParameters),
    range,
    beyond: beyondRange(run, range),
  };
}

const value = ({ speedup, published }: ExpertsPlan): number => speedup ?? published;

function smallestBudget(law: ScalingLaw, activeParameters: number): SpeedupPlan["worthwhile"] {
  const budgets = choices.flatMap((experts) => {
    const positions = positionsForSpeedup(law, { activeParameters, experts }, worthwhile);
    return positions === undefined ? [] : [{ speedup: worthwhile, experts, positions }];
  });
  return budgets.length > 0 ? budgets.reduce((least, each) => (each.positions < least.positions ? each : least)) : null;
}

function middle(values: number[]): [number, number] | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.025), at(0.975)];
}

/** A third beyond the ends is still taken as near. */
function beyondRange(run: Omit<LawSetting, "experts">, range: LawRange): string[] {
  const names = { activeParameters: "active parameters", positions: "positions" } as const;
  return (["activeParameters", "positions"] as const)
    .filter((key) => run[key] < range[key][0] / 1.33 || run[key] > range[key][1] * 1.33)
    .map((key) => names[key]);
}
