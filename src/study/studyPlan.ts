import { existsSync } from "node:fs";
import type { Log } from "../base/log.js";
import { openDataset } from "../dataset/read/openDataset.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { runPaths } from "../run/runDirectory.js";
import { type RunConfig, readRunConfig } from "../train/config/runConfig.js";
import { type PreparedRun, prepareRun } from "../train/setup/prepareRun.js";
import { allRuns, type Study, type StudyRun } from "./studyFile.js";

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
  for (const run of allRuns(study).filter(({ seed }) => seed === study.seeds[0])) {
    variants.push(
      await withRun(await plannedConfig(study, run), log, ({ config, plan, model }) => ({
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

/** A run's configuration as its file and the study have it. */
export function configOf({ base, sets, directory }: StudyRun): Promise<RunConfig> {
  return readRunConfig(base, { sets, run: directory });
}

/**
 * The same before the models are there that the study has yet to train: a run that starts from one has its model; a teacher is left out, so
 * that a distillation's cost is without the teacher's forward pass.
 */
async function plannedConfig(study: Study, run: StudyRun): Promise<RunConfig> {
  const { init, teacher, ...config } = await configOf(run);
  const isThere = (directory: string): boolean => existsSync(runPaths(directory).checkpoints);
  const source = allRuns(study).find(({ directory }) => directory === init?.from && !isThere(directory));
  const kept = teacher && !(run.needs.includes(teacher.from) && !isThere(teacher.from)) ? { teacher } : {};
  if (!source) return { ...config, ...kept, ...(init ? { init } : {}) };
  const { model } = await plannedConfig(study, source);
  const own = Object.fromEntries(Object.entries(config.model).filter(([, value]) => value !== undefined));
  const sparse = config.model.switch && { switch: { ...model.switch, ...config.model.switch } };
  return { ...config, ...kept, model: { ...model, ...own, preset: model.preset, ...sparse } };
}

/** Hands over a run, put together with its dataset. */
export async function withRun<T>(
  config: RunConfig,
  log: Log,
  use: (run: PreparedRun, dataset: TokenDataset) => T | Promise<T>,
): Promise<T> {
  const dataset = await openDataset(config.dataset);
  try {
    return await use(await prepareRun(config, dataset, log), dataset);
  } finally {
    dataset.close();
  }
}
