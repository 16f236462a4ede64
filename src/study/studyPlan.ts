import { existsSync } from "node:fs";
import type { Log } from "../base/log.js";
import { openDataset } from "../dataset/read/openDataset.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { runPaths } from "../run/runDirectory.js";
import { readRunConfig } from "../train/config/runConfig.js";
import { type PreparedRun, prepareRun } from "../train/setup/prepareRun.js";
import type { Study, StudyRun } from "./studyFile.js";

export interface VariantPlan {
  variant: string;
  model: string;
  parameters: number;
  flopsPerStep: number;
  tokensPerStep: number;
  steps: number;
  runs: number;
  /** Of all its runs. */
  flops: number;
}

export interface StudyPlan {
  variants: VariantPlan[];
  runs: number;
  flops: number;
  tokens: number;
}

/**
 * What a study's runs are and cost, before one is started. Every variant's configuration is read and put together with its dataset:
 * a wrong key or value is found here and not after a night.
 *
 * @throws usageError where a run's configuration or dataset is at fault
 */
export async function planStudy(study: Study, log: Log): Promise<StudyPlan> {
  const seeds = study.seeds.length;
  const variants: VariantPlan[] = [];
  for (const run of study.runs.slice(0, study.variants.length)) {
    variants.push(
      await withRun(study, withoutMissing(run), log, ({ config, plan, model }) => ({
        variant: run.variant,
        model: model.switch ? `${model.switch.experts} experts` : "dense",
        parameters: plan.parameters,
        flopsPerStep: plan.flopsPerStep,
        tokensPerStep: plan.tokensPerStep,
        steps: config.steps,
        runs: seeds,
        flops: plan.flopsPerStep * config.steps * seeds,
      })),
    );
  }
  const sum = (value: (plan: VariantPlan) => number): number =>
    variants.reduce((total, plan) => total + value(plan), 0);
  return {
    variants,
    runs: sum(({ runs }) => runs),
    flops: sum(({ flops }) => flops),
    tokens: sum(({ tokensPerStep, steps, runs }) => tokensPerStep * steps * runs),
  };
}

/** A run without the models that the study has yet to train: they do not change what it costs but for the teacher's forward pass. */
function withoutMissing(run: StudyRun): StudyRun {
  if (run.needs.every((directory) => existsSync(runPaths(directory).checkpoints))) return run;
  return { ...run, sets: run.sets.filter((set) => !/^(?:teacher|init)[.=]/.test(set)) };
}

/** Hands over a run of the study, put together with its dataset. */
export async function withRun<T>(
  study: Study,
  { directory, sets }: StudyRun,
  log: Log,
  use: (run: PreparedRun, dataset: TokenDataset) => T | Promise<T>,
): Promise<T> {
  const config = await readRunConfig(study.base, { sets, run: directory });
  const dataset = await openDataset(config.dataset);
  try {
    return await use(await prepareRun(config, dataset, log), dataset);
  } finally {
    dataset.close();
  }
}
