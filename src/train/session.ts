import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { findGraphCapture } from "../backends/graphCapture.js";
import { type Backend, loadBackend } from "../backends/loadBackend.js";
import { usageError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import type { Progress, ProgressOptions } from "../base/progress.js";
import { loadModel } from "../model/checkpoint/huggingFace.js";
import { disposeParameters, initParameters, type Parameters } from "../model/parameters.js";
import { precisionNotice } from "../model/precision.js";
import { describePlan } from "../plan/planTraining.js";
import { leastMemory, requireMemory } from "../plan/trainingMemory.js";
import { type Checkpoint, optimizerName, readTrainSeconds } from "../run/checkpoint.js";
import {
  clearLeftovers,
  cutBack,
  lastCheckpoint,
  recordEnvironment,
  teeLog,
  writeDescription,
} from "../run/runDirectory.js";
import { lockRun } from "../run/runLock.js";
import { type Prefetcher, prefetch } from "../stream/prefetch/prefetch.js";
import { createCheckpointWriter } from "./checkpoint/checkpointWriter.js";
import { identityHash } from "./config/runConfig.js";
import { createMetricsWriter, type MetricsWriter } from "./metricsWriter.js";
import { createOptimizer, type Optimizer } from "./optimizer.js";
import { describeRun, type PreparedRun } from "./prepareRun.js";
import { requireSameRun } from "./requireSameRun.js";
import { createTrainStep, type TrainStep } from "./step.js";

export interface SessionOptions {
  log: Log;
  /** Makes a bar of the steps, for a terminal; its log then takes the place of `log`. */
  progress?: (options: ProgressOptions) => Progress;
}

/** A run in the hands of this process: its directory locked, weights, moments and batches ready at `startStep`. */
export interface Session extends PreparedRun {
  params: Parameters;
  optimizer: Optimizer;
  trainStep: TrainStep;
  batches: Prefetcher;
  metricsWriter: MetricsWriter;
  /** Updates done before this process, and the training seconds they took; undefined where that is not known. */
  startStep: number;
  startSeconds: number | undefined;
  log: Log;
  /** Counts an update on the progress bar. */
  onStep(): void;
  /** Folder of the last complete checkpoint. */
  readonly checkpoint: string | null;
  writeCheckpoint(step: number, trainSeconds: number | undefined): Promise<void>;
  /** Frees everything and unlocks the directory. */
  close(): Promise<void>;
}

/**
 * Takes a run's directory, from its last complete checkpoint where there is one, and sets up all that the loop needs.
 *
 * @throws usageError where memory or the run directory does not fit, before any work; MswitchError for a damaged checkpoint
 */
export async function openSession(run: PreparedRun, options: SessionOptions): Promise<Session> {
  const { config, model, stream, plan, paths } = run;
  const backend = await loadBackend(config.backend);
  const need = leastMemory(model, plan.parameters, config.stream.batchSize, stream.lengths, backend.name);
  requireMemory(need, backend.name, config.stream.batchSize);

  const cleanUp: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    while (cleanUp.length > 0) await cleanUp.pop()!();
  };
  try {
    await mkdir(paths.directory, { recursive: true });
    cleanUp.push(await lockRun(paths.directory, options.log));
    const { resumed, startSeconds, configuration, log } = await enterDirectory(run, backend, options.log);
    const startStep = resumed?.step ?? 0;

    const params = resumed ? (await loadModel(resumed.directory)).params : initParameters(model, config.seed);
    cleanUp.push(() => disposeParameters(params));
    const optimizer = createOptimizer(params, config.optimizer);
    cleanUp.push(() => optimizer.dispose());
    if (resumed) await optimizer.restore(join(resumed.directory, optimizerName));

    const batches = prefetch(run.dataset.dir, run.streamConfig, { startStep });
    cleanUp.push(() => batches.close());
    const rates = [{ label: "tok/s", scale: 1 }];
    const bar = options.progress?.({ parts: [{ name: "steps", total: config.steps - startStep }], rates });
    const stepLog = bar ? teeLog(paths, bar.log) : log;
    const metricsWriter = await createMetricsWriter({ paths, plan, startStep, steps: config.steps, log: stepLog });
    cleanUp.push(
      () => metricsWriter.close(),
      () => bar?.stop(),
    );

    const trainStep = createTrainStep({
      ...{ model, params, optimizer, seed: config.seed, run: config.run },
      capture: config.recordSteps ? await findGraphCapture() : undefined,
      onEager: (why) => stepLog.info(`steps are not recorded as a graph: ${why}`),
    });
    const description = describeRun(run, backend.name);
    const checkpoints = createCheckpointWriter({ run, description, params, optimizer, configuration, log: stepLog });
    let checkpoint = resumed?.directory ?? null;
    return {
      ...run,
      ...{ params, optimizer, trainStep, batches, startStep, startSeconds, log: stepLog, close },
      metricsWriter: {
        ...metricsWriter,
        async evaluation(point) {
          await metricsWriter.evaluation(point);
          await checkpoints.describe(point);
        },
      },
      onStep: () => bar?.advance("steps", 1, [plan.tokensPerStep]),
      get checkpoint() {
        return checkpoint;
      },
      async writeCheckpoint(step, trainSeconds) {
        checkpoint = await checkpoints.write(step, trainSeconds);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface EnteredDirectory {
  resumed: Checkpoint | undefined;
  startSeconds: number | undefined;
  /** `identityHash` of the run. */
  configuration: string;
  /** Also writes to the run's `log.txt`. */
  log: Log;
}

/** Finds where the run stands, brings its records back to there, and writes down who goes on with it. */
async function enterDirectory(run: PreparedRun, backend: Backend, userLog: Log): Promise<EnteredDirectory> {
  const { config, model, plan, paths } = run;
  const description = describeRun(run, backend.name);
  const configuration = identityHash(config, description);
  const before = await requireSameRun(paths, config, description);
  await clearLeftovers(paths);
  const resumed = await lastCheckpoint(paths, configuration, userLog);
  if (resumed && resumed.step > config.steps) {
    throw usageError(`the run is at step ${resumed.step} already, beyond steps: ${config.steps}`, {
      code: "run-beyond-steps",
      where: paths.directory,
    });
  }
  // First of all files: a directory with others but without a config.yaml is taken for somebody else's.
  await writeDescription(paths, config, description);
  const log = teeLog(paths, userLog);
  const startStep = resumed?.step ?? 0;
  const loggedSeconds = await cutBack(paths, startStep, log);
  const startSeconds = resumed ? ((await readTrainSeconds(resumed)) ?? loggedSeconds) : 0;
  if (startSeconds === undefined) {
    log.warn(
      `${paths.directory}: the training time up to step ${startStep} is lost; speed-ups in time will be unknown`,
    );
  }
  await recordEnvironment(paths, { backend: `${backend.name}: ${backend.description}`, fromStep: startStep });

  log.info(`run ${config.name} in ${paths.directory}`);
  for (const line of describePlan(plan, model, config.steps)) log.info(line);
  log.info(`  backend ${backend.name}: ${backend.description}`);
  const notice = precisionNotice(model, backend.name);
  if (notice) log.warn(notice);
  if (before && before.backend !== backend.name) {
    log.warn(
      `so far the run was computed on the ${before.backend} backend: from here on results agree but for rounding`,
    );
  }
  if (resumed) log.info(`going on from step ${startStep}: ${resumed.directory}`);
  return { resumed, startSeconds, configuration, log };
}
