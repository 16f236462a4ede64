import { findGraphCapture } from "../backends/graphCapture.js";
import { loadBackend } from "../backends/loadBackend.js";
import { usageError } from "../base/errors.js";
import { formatBytes, parseDuration } from "../base/format.js";
import type { Log } from "../base/log.js";
import type { Progress, ProgressOptions } from "../base/progress.js";
import { meshFor } from "../distributed/mesh.js";
import { partOfParameter } from "../distributed/modelParts.js";
import { isWhole } from "../distributed/placement.js";
import { joinWorld, soloWorld, type World } from "../distributed/world.js";
import { worldAddress } from "../distributed/worldAddress.js";
import { loadModel } from "../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../model/config.js";
import { disposeParameters, type Parameters, parameterShapes } from "../model/parameters.js";
import type { Teacher } from "../model/teacher.js";
import { rankParameters } from "../plan/cluster/rankParameters.js";
import { leastMemory, requireMemory } from "../plan/trainingMemory.js";
import type { Checkpoint } from "../run/checkpoint.js";
import { teeLog } from "../run/runDirectory.js";
import { type Prefetcher, prefetch } from "../stream/prefetch/prefetch.js";
import type { BranchSource } from "./checkpoint/branchRun.js";
import { createCheckpointWriter } from "./checkpoint/checkpointWriter.js";
import { requireSameShapes } from "./checkpoint/requireSameShapes.js";
import { createMetricsWriter, type MetricsWriter } from "./metricsWriter.js";
import { createOptimizer, type Optimizer, optimizerOptions } from "./optimizer.js";
import { enterRun } from "./setup/enterRun.js";
import { startParameters } from "./setup/findStart.js";
import { describeRun, type PreparedRun } from "./setup/prepareRun.js";
import { createTrainStep, type TrainStep } from "./step.js";
import { countingTraffic, type StepTraffic } from "./stepTraffic.js";

export interface SessionOptions {
  log: Log;
  /** Aborted where the run is to stop. */
  signal: AbortSignal;
  /** Makes a bar of the steps, for a terminal; its log then takes the place of `log`. */
  progress?: (options: ProgressOptions) => Progress;
  /** What a run with a `branch` begins with. */
  source?: BranchSource;
}

/** A run in the hands of this process: its directory locked, weights, moments and batches ready at `startStep`. */
export interface Session extends PreparedRun {
  /** The processes of the run; this one alone in most. Rank 0 writes to the run directory. */
  world: World;
  /** What this rank gave to collectives in its first step; empty before it, and of a process that trains alone. */
  traffic: readonly StepTraffic[];
  params: Parameters;
  optimizer: Optimizer;
  trainStep: TrainStep;
  /** Of a distillation; the run's `teacher` tells where it lies. */
  loadedTeacher: Teacher | undefined;
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
  const address = worldAddress(process.env);
  const mesh = meshFor(config.mesh ?? {}, address?.worldSize ?? 1, model, config.stream.batchSize);
  if (mesh.model > 1 && run.teacher) throw teacherOfParts();
  const { accumulate = 1 } = config.batch ?? {};
  const backend = await loadBackend(config.backend);
  const rows = config.stream.batchSize / (mesh.data * mesh.expert * accumulate);
  requireWholeRows(rows, accumulate);
  const { dense, experts } = isWhole(mesh)
    ? { dense: plan.parameters, experts: 0 }
    : rankParameters(model, mesh, config.optimizer);
  const part = { ...model, heads: model.heads / mesh.model, dFf: model.dFf / mesh.model };
  const least = (count: number): number => leastMemory(part, dense + experts, count, stream.lengths, backend.name);
  requireMemory(least, backend, rows);

  const cleanUp: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    while (cleanUp.length > 0) await cleanUp.pop()!();
  };
  try {
    const world = address
      ? await joinWorld(address, mesh, parseDuration(config.mesh?.timeout ?? defaultTimeout)!)
      : soloWorld;
    cleanUp.push(() => world.close());
    const userLog = world.rank === 0 ? options.log : onlyWarnings(options.log, world.rank);
    const entered = await enterRun({ world, run, backend, log: userLog, cleanUp, source: options.source });
    const { resumed, startSeconds, configuration, log, lock } = entered;
    const startStep = resumed?.step ?? 0;

    const params = resumed ? await loadParameters(resumed, model, world) : await startParameters(run, log, world);
    cleanUp.push(() => disposeParameters(params));
    const optimizer = createOptimizer(params, optimizerOptions(config.optimizer, model), world);
    cleanUp.push(() => optimizer.dispose());
    if (resumed) await optimizer.restore(resumed.directory);

    const teacher = await run.teacher?.load();
    if (teacher) {
      cleanUp.push(() => disposeParameters(teacher.params));
      log.info(`  learns from ${run.teacher!.directory}: weight ${teacher.weight}, temperature ${teacher.temperature}`);
    }
    const { skipBatches = 0 } = config.stream;
    const batches = prefetch(run.dataset.dir, run.streamConfig, { startStep: startStep + skipBatches });
    cleanUp.push(() => batches.close());
    const rates = [{ label: "tok/s", scale: 1 }];
    const progress = world.rank === 0 ? options.progress : undefined;
    const bar = progress?.({ parts: [{ name: "steps", total: config.steps - startStep }], rates });
    const stepLog = bar ? teeLog(paths, bar.log) : log;
    const writer =
      world.rank === 0
        ? await createMetricsWriter({
            ...{ paths, config, plan, experts: model.switch?.experts ?? 0, startStep, log: stepLog },
          })
        : silentMetricsWriter;
    cleanUp.push(
      () => writer.close(),
      () => bar?.stop(),
    );

    const traffic: StepTraffic[] = [];
    const step = createTrainStep({
      ...{ model, params, optimizer, world, run: config.run, accumulate, teacher },
      // Ranks with other rows draw noise of their own.
      seed: world.batch.size > 1 ? config.seed + 1_000_003 * (world.batch.rank + 1) : config.seed,
      isStopping: () => options.signal.aborted,
      capture: config.recordSteps ? await findGraphCapture() : undefined,
      onEager: (why) => stepLog.info(`steps run kernel by kernel: ${why}`),
    });
    const trainStep = countingTraffic(step, world, (given) => {
      traffic.push(...given);
      const text = given.map(({ kind, ranks, bytes }) => `${formatBytes(bytes)} to ${kind} of ${ranks}`).join(", ");
      stepLog.info(`a rank gives ${text} a step`);
    });
    const description = describeRun(run, backend.name);
    const checkpoints = createCheckpointWriter({
      run,
      description,
      params,
      optimizer,
      configuration,
      log: stepLog,
      world,
    });
    let checkpoint = resumed?.directory ?? null;
    return {
      ...run,
      loadedTeacher: teacher,
      ...{ traffic, world, params, optimizer, trainStep, batches, startStep, startSeconds, log: stepLog, close },
      metricsWriter: {
        ...writer,
        async line(line) {
          await lock?.requireHeld();
          await writer.line(line);
        },
        async evaluation(point) {
          await lock?.requireHeld();
          await writer.evaluation(point);
          await checkpoints.describe(point);
        },
      },
      onStep: () => bar?.advance("steps", 1, [plan.tokensPerStep]),
      get checkpoint() {
        return checkpoint;
      },
      async writeCheckpoint(step, trainSeconds) {
        await lock?.requireHeld();
        checkpoint = (await checkpoints.write(step, trainSeconds)) ?? checkpoint;
        // Nobody goes on, or ends, before it is complete.
        await world.gather("");
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** How long a rank waits for the others where the run's file does not say: an evaluation of rank 0 must fit. */
const defaultTimeout = "10m";

/** The weights of a checkpoint, which must be of the run's own shapes. */
async function loadParameters({ directory }: Checkpoint, model: ModelConfig, world: World): Promise<Parameters> {
  const { params } = await loadModel(directory, (name, shape) => partOfParameter(name, shape, world));
  const shapes = new Map(
    [...parameterShapes(model)].map(([name, shape]) => [name, partOfParameter(name, shape, world).shape]),
  );
  try {
    requireSameShapes(directory, new Map([...params].map(([name, { shape }]) => [name, shape])), shapes);
    return params;
  } catch (error) {
    disposeParameters(params);
    throw error;
  }
}

/** @throws usageError where a step's rows do not make so many equal micro-batches */
export function requireWholeRows(rows: number, accumulate: number): void {
  if (Number.isInteger(rows)) return;
  throw usageError(`${rows * accumulate} rows cannot be computed in ${accumulate} equal micro-batches`, {
    code: "batch-not-divisible",
    where: "batch.accumulate",
    hint: "set stream.batchSize to a multiple of batch.accumulate and of the number of processes",
  });
}

function teacherOfParts(): Error {
  return usageError("a model that is split over ranks cannot have a teacher", {
    code: "mesh-teacher",
    where: "mesh.model",
    why: "the loss with a teacher takes the whole vocabulary",
    hint: "set mesh.model to 1; the data and expert axes can be used",
  });
}

/** A rank that is not the first speaks only when something is wrong. */
function onlyWarnings(log: Log, rank: number): Log {
  return { info: () => {}, warn: (message) => log.warn(`rank ${rank}: ${message}`) };
}

const silentMetricsWriter: MetricsWriter = {
  line: async () => {},
  evaluation: async () => {},
  close: async () => {},
};
