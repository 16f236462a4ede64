import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { loadBackend } from "../backends/loadBackend.js";
import { findStepRecorder } from "../backends/stepRecorder.js";
import { usageError } from "../base/errors.js";
import { runWriteError } from "../base/fileSystemError.js";
import type { Log } from "../base/log.js";
import type { Progress, ProgressOptions } from "../base/progress.js";
import { datasetFingerprint } from "../dataset/format/manifest.js";
import { openDataset } from "../dataset/read/openDataset.js";
import type { TokenDataset } from "../dataset/read/tokenDataset.js";
import { evaluateModel } from "../eval/evaluateModel.js";
import { loadModel, saveModel } from "../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../model/config.js";
import { disposeParameters, initParameters } from "../model/parameters.js";
import { precisionNotice } from "../model/precision.js";
import { describePlan, modelTitle, planTraining, type TrainingPlan } from "../plan/planTraining.js";
import { leastMemory, requireMemory } from "../plan/trainingMemory.js";
import { optimizerName, pruneCheckpoints, writeCheckpoint } from "../run/checkpoint.js";
import {
  clearLeftovers,
  cutBack,
  describeRun,
  evaluationPath,
  lastCheckpoint,
  lastEvaluation,
  type RunPaths,
  recordEnvironment,
  runPaths,
  teeLog,
} from "../run/runDirectory.js";
import type { RunDescription } from "../run/runFiles.js";
import { lockRun } from "../run/runLock.js";
import type { ExampleStream, StreamConfig, ValidationExamples } from "../stream/batch.js";
import { createExampleStream } from "../stream/createExampleStream.js";
import { usableLanguages } from "../stream/objectives/segments.js";
import { prefetch } from "../stream/prefetch/prefetch.js";
import { hashValidationExamples, validationExamples } from "../stream/validationExamples.js";
import { resolveModel } from "./config/resolveModel.js";
import { identityHash, type Pipeline, type PipelineOverrides, readPipeline } from "./config/runConfig.js";
import { train } from "./loop.js";
import { createOptimizer } from "./optimizer.js";
import { createRecorder, type EvaluationSummary, summarizeEvaluation } from "./recorder.js";
import { requireSameRun } from "./requireSameRun.js";
import { createTrainStep } from "./step.js";

export interface PretrainOptions extends PipelineOverrides {
  log: Log;
  signal: AbortSignal;
  /** Makes a bar of the steps, for a terminal; its log then takes the place of `log`. */
  progress?: (options: ProgressOptions) => Progress;
}

export interface PretrainResult {
  /** Run directory. */
  run: string;
  name: string;
  model: string;
  parameters: number;
  /** Updates done, of `steps`. */
  step: number;
  steps: number;
  /** Stopped by a signal: the same command goes on. */
  interrupted: boolean;
  /** Folder of the last complete checkpoint. */
  checkpoint: string | null;
  evaluation: EvaluationSummary | null;
}

/** A run with everything that is known before TensorFlow.js holds a single number. */
interface PreparedRun {
  pipeline: Pipeline;
  model: ModelConfig;
  dataset: TokenDataset;
  streamConfig: StreamConfig;
  stream: ExampleStream;
  examples: ValidationExamples[];
  plan: TrainingPlan;
  paths: RunPaths;
}

/**
 * Trains what a pipeline file describes, from the start or from the last complete checkpoint in its run directory, to the end
 * or to a signal.
 *
 * @throws usageError for anything wrong with configuration, dataset or run directory, before any work; MswitchError for a
 *   damaged checkpoint, divergence, or a disk that fails
 */
export async function pretrain(file: string, options: PretrainOptions): Promise<PretrainResult> {
  const read = await readPipeline(file, options);
  const dataset = await openDataset(read.dataset);
  try {
    return await trainOn(prepare(read, dataset, options.log), options);
  } catch (error) {
    throw runWriteError(error, "the run directory cannot be written", read.run);
  } finally {
    dataset.close();
  }
}

function prepare(read: Pipeline, dataset: TokenDataset, log: Log): PreparedRun {
  const model = resolveModel(read, dataset.vocabulary);
  const { precision: _, ...modelKeys } = model;
  const pipeline: Pipeline = { ...read, model: { preset: read.model.preset, ...modelKeys } };
  const { stream: keys, seed, steps, evaluation } = pipeline;
  const streamConfig: StreamConfig = { seed, ...keys };
  const stream = createExampleStream(dataset, streamConfig, log);
  const languages = usableLanguages(dataset, "validation").filter((code) => keys.languages?.includes(code) ?? true);
  const examples = languages.map((code) =>
    validationExamples(dataset, code, { examples: evaluation.examplesPerLanguage, inputLength: keys.inputLength }),
  );
  if (examples.length === 0) log.warn(`${dataset.dir}: no language has validation text, nothing will be evaluated`);
  const plan = planTraining(model, stream, keys.batchSize, steps);
  return { pipeline, model, dataset, streamConfig, stream, examples, plan, paths: runPaths(pipeline.run) };
}

async function trainOn(prepared: PreparedRun, options: PretrainOptions): Promise<PretrainResult> {
  const { pipeline, model, dataset, streamConfig, stream, examples, plan, paths } = prepared;
  const { log: userLog, signal } = options;
  const { seed, steps } = pipeline;
  const { batchSize } = pipeline.stream;
  const backend = await loadBackend(pipeline.backend);
  const { name: backendName } = backend;
  requireMemory(leastMemory(model, plan.parameters, batchSize, stream.lengths, backendName), backendName, batchSize);
  const description = describe(prepared, backendName);
  const configuration = identityHash(pipeline, description);

  await mkdir(paths.directory, { recursive: true });
  const unlock = await lockRun(paths.directory, userLog);
  try {
    const before = await requireSameRun(paths, pipeline, description);
    await clearLeftovers(paths);
    const resumed = await lastCheckpoint(paths, configuration, userLog);
    if (resumed && resumed.step > steps) {
      throw usageError(`the run is at step ${resumed.step} already, beyond steps: ${steps}`, {
        where: paths.directory,
      });
    }
    // First of all files: a directory with others but without a config.yaml is taken for somebody else's.
    await describeRun(paths, pipeline, description);
    const log = teeLog(paths, userLog);
    const startStep = resumed?.step ?? 0;
    const startSeconds = await cutBack(paths, startStep);
    await recordEnvironment(paths, { backend: `${backend.name}: ${backend.description}`, fromStep: startStep });

    log.info(`run ${pipeline.name} in ${paths.directory}`);
    for (const line of describePlan(plan, model, steps)) log.info(line);
    log.info(`  backend ${backend.name}: ${backend.description}`);
    const notice = precisionNotice(model, backend.name);
    if (notice) log.warn(notice);
    if (before && before.backend !== backend.name) {
      log.warn(
        `so far the run was computed on the ${before.backend} backend: from here on results agree but for rounding`,
      );
    }
    if (resumed) log.info(`going on from step ${startStep}: ${resumed.directory}`);

    const params = resumed ? (await loadModel(resumed.directory)).params : initParameters(model, seed);
    const optimizer = createOptimizer(params, pipeline.optimizer.minFactoredSize);
    if (resumed) await optimizer.restore(join(resumed.directory, optimizerName));
    const batches = prefetch(dataset.dir, streamConfig, { startStep });
    const rates = [{ label: "tok/s", scale: 1 }];
    const bar = options.progress?.({ parts: [{ name: "steps", total: steps - startStep }], rates });
    const stepLog = bar ? teeLog(paths, bar.log) : log;
    const recorder = await createRecorder({ paths, plan, startStep, steps, log: stepLog });
    const trainStep = createTrainStep({
      ...{ model, params, optimizer, seed, run: pipeline.run },
      recorder: pipeline.recordSteps ? await findStepRecorder() : undefined,
      onEager: (why) => stepLog.info(`steps are not recorded as a graph: ${why}`),
    });
    let checkpoint = resumed?.directory ?? null;
    const writeModel = async (directory: string): Promise<void> => {
      await saveModel(directory, model, params);
      await optimizer.save(join(directory, optimizerName));
    };
    const isEvaluated = (at: number): boolean => examples.length === 0 || existsSync(evaluationPath(paths, at));
    try {
      const step = await train({
        ...{ pipeline, trainStep, batches, startStep, startSeconds, recorder, signal },
        isEvaluated,
        evaluate: (at) => evaluateModel(model, params, examples, at),
        async writeCheckpoint(at) {
          const state = { step: at, seed, configuration };
          checkpoint = (await writeCheckpoint(paths.checkpoints, state, writeModel)).directory;
          await pruneCheckpoints(paths.checkpoints, pipeline.checkpoints);
          stepLog.info(`checkpoint ${checkpoint}`);
        },
        onStep: () => bar?.advance("steps", 1, [plan.tokensPerStep]),
      });
      const point = await lastEvaluation(paths);
      return {
        ...{ run: paths.directory, name: pipeline.name, model: modelTitle(model), parameters: plan.parameters },
        ...{ step, steps, interrupted: step < steps || !isEvaluated(steps), checkpoint },
        evaluation: point ? summarizeEvaluation(point) : null,
      };
    } finally {
      bar?.stop();
      await batches.close();
      await recorder.close();
      optimizer.dispose();
      disposeParameters(params);
    }
  } finally {
    await unlock();
  }
}

function describe({ pipeline, model, dataset, stream, examples, plan }: PreparedRun, backend: string): RunDescription {
  const { manifest } = dataset;
  const trainTokens = stream.languages.map((code) => [code, manifest.languages[code].train?.tokens ?? 0] as const);
  return {
    name: pipeline.name,
    model: modelTitle(model),
    experts: model.switch?.experts ?? 0,
    parameters: plan.parameters,
    flopsPerStep: plan.flopsPerStep,
    tokensPerStep: plan.tokensPerStep,
    totalSteps: pipeline.steps,
    backend,
    vocabulary: manifest.vocabulary.fingerprint,
    dataset: datasetFingerprint(manifest),
    evalExamples: hashValidationExamples(examples),
    seed: pipeline.seed,
    epochs: plan.epochs,
    trainTokens: Object.fromEntries(trainTokens),
  };
}
