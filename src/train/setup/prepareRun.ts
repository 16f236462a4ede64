import type { Log } from "../../base/log.js";
import { datasetFingerprint } from "../../dataset/format/manifest.js";
import type { TokenDataset } from "../../dataset/read/tokenDataset.js";
import type { ModelConfig } from "../../model/config.js";
import { modelTitle, planTraining, type TrainingPlan } from "../../plan/planTraining.js";
import { type RunPaths, runPaths } from "../../run/runDirectory.js";
import type { RunDescription } from "../../run/runFiles.js";
import type { ExampleStream, StreamConfig, ValidationExamples } from "../../stream/batch.js";
import { createExampleStream } from "../../stream/createExampleStream.js";
import { usableLanguages } from "../../stream/objectives/segments.js";
import { hashValidationExamples, validationExamples } from "../../stream/validationExamples.js";
import { resolveModel } from "../config/resolveModel.js";
import type { RunConfig } from "../config/runConfig.js";

/** A run with everything that is known before the backend holds a single number. */
export interface PreparedRun {
  /** With every key of the model written out. */
  config: RunConfig;
  model: ModelConfig;
  dataset: TokenDataset;
  streamConfig: StreamConfig;
  stream: ExampleStream;
  examples: ValidationExamples[];
  plan: TrainingPlan;
  paths: RunPaths;
}

/**
 * Puts a run's parts together: model, stream of batches, validation examples, costs.
 *
 * @throws usageError where configuration and dataset do not fit together
 */
export function prepareRun(given: RunConfig, dataset: TokenDataset, log: Log): PreparedRun {
  const model = resolveModel(given, dataset.vocabulary);
  // `precision` is a key of the run's own, beside the model.
  const { precision: _, ...modelKeys } = model;
  const config: RunConfig = { ...given, model: { preset: given.model.preset, ...modelKeys } };
  const { seed, steps, evaluation } = config;
  const { skipBatches: _s, ...keys } = config.stream;
  const streamConfig: StreamConfig = { seed, ...keys };
  const stream = createExampleStream(dataset, streamConfig, log);
  const languages = usableLanguages(dataset, "validation").filter((code) => keys.languages?.includes(code) ?? true);
  const examples = languages.map((code) =>
    validationExamples(dataset, code, { examples: evaluation.examplesPerLanguage, inputLength: keys.inputLength }),
  );
  if (examples.length === 0) log.warn(`${dataset.dir}: no language has validation text, nothing will be evaluated`);
  const plan = planTraining(model, stream, keys.batchSize, steps);
  return { config, model, dataset, streamConfig, stream, examples, plan, paths: runPaths(config.run) };
}

/** What `run.json` says of a run. */
export function describeRun(
  { config, model, dataset, stream, examples, plan }: PreparedRun,
  backend: string,
): RunDescription {
  const { manifest } = dataset;
  const trainTokens = stream.languages.map((code) => [code, manifest.languages[code].train?.tokens ?? 0] as const);
  return {
    name: config.name,
    model: modelTitle(model),
    experts: model.switch?.experts ?? 0,
    parameters: plan.parameters,
    flopsPerStep: plan.flopsPerStep,
    tokensPerStep: plan.tokensPerStep,
    totalSteps: config.steps,
    backend,
    vocabulary: manifest.vocabulary.fingerprint,
    dataset: datasetFingerprint(manifest),
    evalExamples: hashValidationExamples(examples),
    seed: config.seed,
    epochs: plan.epochs,
    trainTokens: Object.fromEntries(trainTokens),
  };
}
