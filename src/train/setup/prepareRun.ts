import { usageError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import { nearest } from "../../base/nearest.js";
import { datasetFingerprint } from "../../dataset/format/manifest.js";
import type { TokenDataset } from "../../dataset/read/tokenDataset.js";
import type { ModelConfig } from "../../model/config.js";
import { modelTitle, planTraining, type TrainingPlan } from "../../plan/planTraining.js";
import { type RunPaths, runPaths } from "../../run/runDirectory.js";
import type { RunDescription } from "../../run/runFiles.js";
import type { ExampleShape, ExampleStream, StreamConfig, ValidationExamples } from "../../stream/batch.js";
import { createExampleStream } from "../../stream/createExampleStream.js";
import { exampleSource } from "../../stream/objectives/exampleSource.js";
import { usableLanguages } from "../../stream/objectives/segments.js";
import { hashValidationExamples, validationExamples } from "../../stream/validationExamples.js";
import { resolveModel } from "../config/resolveModel.js";
import type { RunConfig } from "../config/runConfig.js";
import { findStart, type Start } from "./findStart.js";
import { type FoundTeacher, findTeacher } from "./findTeacher.js";

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
  /** Of text-to-text pairs. */
  truncated: RunDescription["truncated"];
  /** What it starts from; undefined: fresh weights. */
  start: Start | undefined;
  /** Of a distillation. */
  teacher: FoundTeacher | undefined;
  paths: RunPaths;
}

/**
 * Puts a run's parts together: model, stream of batches, validation examples, costs.
 *
 * @throws usageError where configuration and dataset do not fit together
 */
export async function prepareRun(given: RunConfig, dataset: TokenDataset, log: Log): Promise<PreparedRun> {
  const start = given.init && (await findStart(given.init, dataset.vocabulary, log));
  const model = resolveModel(given, dataset.vocabulary, start?.model);
  const teacher = given.teacher && (await findTeacher(given.teacher, model, dataset.vocabulary, log));
  // `precision` is a key of the run's own, beside the model.
  const { precision: _, ...modelKeys } = model;
  const { preset } = given.model;
  const config: RunConfig = {
    ...given,
    ...(start ? { init: { from: start.from, weights: start.weights } } : {}),
    ...(given.teacher && teacher ? { teacher: { ...given.teacher, weights: teacher.weights } } : {}),
    model: { ...(preset ? { preset } : {}), ...modelKeys },
  };
  const { seed, steps, evaluation, objective } = config;
  const { skipBatches: _s, ...keys } = config.stream;
  const streamConfig: StreamConfig = { seed, ...(objective ? { objective } : {}), ...keys };
  const stream = createExampleStream(dataset, streamConfig, log);
  const chosen = evaluatedLanguages(config);
  const usable = usableLanguages(dataset, "validation");
  requireNamedLanguages(evaluation.languages, usable, dataset.dir);
  const languages = usable.filter((code) => chosen?.includes(code) ?? true);
  const examples = languages.map((code) =>
    validationExamples(dataset, code, { examples: evaluation.examplesPerLanguage, ...shapeOf(config) }),
  );
  if (examples.length === 0) log.warn(`${dataset.dir}: no language has validation text, nothing will be evaluated`);
  const plan = planTraining(model, stream, keys.batchSize, steps);
  const truncated = objective === "pairs" ? truncationOf(dataset, stream, config) : undefined;
  return {
    config,
    model,
    start,
    teacher,
    dataset,
    streamConfig,
    stream,
    examples,
    plan,
    truncated,
    paths: runPaths(config.run),
  };
}

/** Languages that are trained on need no validation text; those that `evaluation.languages` names do. */
function requireNamedLanguages(
  named: RunConfig["evaluation"]["languages"],
  usable: readonly string[],
  where: string,
): void {
  const missing = named === undefined || named === "all" ? undefined : named.find((code) => !usable.includes(code));
  if (missing === undefined) return;
  const near = nearest(missing, usable);
  throw usageError(`evaluation.languages names ${missing}, of which the dataset has no validation text`, {
    code: "language-not-in-dataset",
    where,
    why: `it has some in ${usable.join(", ")}`,
    ...(near === undefined ? {} : { hint: `Did you mean ${near}?` }),
  });
}

/** What a run is evaluated on; undefined: all of its dataset. */
export function evaluatedLanguages({ evaluation, stream }: RunConfig): string[] | undefined {
  return evaluation.languages === "all" ? undefined : (evaluation.languages ?? stream.languages);
}

/** What examples a run makes of its dataset, one a row. */
export function shapeOf({ objective, stream }: RunConfig): ExampleShape {
  const { inputLength, targetLength, noiseDensity, meanNoiseSpanLength } = stream;
  return { objective, inputLength, targetLength, noiseDensity, meanNoiseSpanLength };
}

/** How many training pairs there are, and are cut. */
function truncationOf(
  dataset: TokenDataset,
  { languages }: ExampleStream,
  config: RunConfig,
): RunDescription["truncated"] {
  const source = exampleSource(dataset, "train", shapeOf(config));
  const packed = config.stream.packing && exampleSource(dataset, "train", { ...shapeOf(config), packing: true });
  const sum = { pairs: 0, examples: 0, inputs: 0, targets: 0 };
  let rows = 0;
  for (const language of languages) {
    const { examples, inputs, targets } = source.truncated(language);
    sum.pairs += source.count(language);
    if (packed) rows += packed.count(language);
    sum.examples += examples;
    sum.inputs += inputs;
    sum.targets += targets;
  }
  return packed ? { ...sum, rows } : sum;
}

/** What `run.json` says of a run. */
export function describeRun(
  { config, model, dataset, stream, examples, plan, truncated, teacher }: PreparedRun,
  backend: string,
): RunDescription {
  const { manifest } = dataset;
  const trainTokens = stream.languages.map((code) => [code, manifest.languages[code].train?.tokens ?? 0] as const);
  return {
    name: config.name,
    model: modelTitle(model),
    experts: model.switch?.experts ?? 0,
    parameters: plan.parameters,
    activeParameters: plan.dense.activeParameters,
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
    ...(truncated ? { truncated } : {}),
    ...(teacher ? { teacher: teacher.description } : {}),
  };
}
