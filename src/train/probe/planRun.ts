import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { loadBackend } from "../../backends/loadBackend.js";
import type { Log } from "../../base/log.js";
import { openDataset } from "../../dataset/read/openDataset.js";
import type { ModelConfig } from "../../model/config.js";
import type { TrainingPlan } from "../../plan/planTraining.js";
import { batchTooLarge, leastMemory, memoryLimit, requireMemory } from "../../plan/trainingMemory.js";
import { type RunConfigOverrides, readRunConfig } from "../config/runConfig.js";
import { isEvaluationDue } from "../loop.js";
import { requireWholeRows } from "../session.js";
import { type PreparedRun, prepareRun } from "../setup/prepareRun.js";
import { probeRun, type RunProbe, type StepProbe } from "./probeRun.js";

/** What a run costs on this machine, by a probe of a few steps. Bytes and seconds. */
export interface RunPlan {
  name: string;
  run: string;
  backend: string;
  model: ModelConfig;
  training: TrainingPlan;
  steps: number;
  time: {
    /** Of a training step, and the rows that were computed for it: fewer than a step's, where those would take minutes. */
    step: number;
    probedRows: number;
    evaluations: number;
    evaluation: number;
    total: number;
  };
  memory: {
    needed: number;
    /** What the device, or this machine, has. */
    limit: number;
    /** The largest `stream.batchSize` that fits, by the memory of small batches. */
    largestBatch: number;
  };
  disk: { checkpoint: number; checkpoints: number; evaluations: number; total: number; free: number };
  /** Positions of a step that one expert sees of a balanced load, in an encoder and in a decoder layer; null where dense. */
  tokensPerExpert: { encoder: number; decoder: number } | null;
}

/** A probe that would take longer is made with fewer rows, and its time scaled up. */
const mostProbeSeconds = 90;

/**
 * Plans the run of a pipeline file on this machine and trains nothing; the run directory is not touched.
 *
 * @throws usageError where configuration, dataset and memory do not fit together: `batch-too-large` names the largest batch that does
 */
export async function planRun(file: string, options: RunConfigOverrides & { log: Log }): Promise<RunPlan> {
  const config = await readRunConfig(file, options);
  const dataset = await openDataset(config.dataset);
  try {
    return await planPrepared(await prepareRun(config, dataset, options.log));
  } finally {
    dataset.close();
  }
}

async function planPrepared(run: PreparedRun): Promise<RunPlan> {
  const { config, model, stream, examples, plan } = run;
  const { accumulate = 1 } = config.batch ?? {};
  const rows = config.stream.batchSize / accumulate;
  requireWholeRows(rows, accumulate);
  const backend = await loadBackend(config.backend);
  const limit = memoryLimit(backend);
  const least = (count: number): number => leastMemory(model, plan.parameters, count, stream.lengths, backend.name);
  requireMemory(least, backend, rows);
  const probe = await probeRun(run);
  try {
    const memory = await probeMemory(probe, rows, least);
    const largestRows = Math.floor((limit - memory.fixed) / memory.perRow);
    if (largestRows < rows) {
      const needed = memory.fixed + memory.perRow * rows;
      throw batchTooLarge({ rows, needed, limit, backend: backend.name, largest: largestRows });
    }
    const step = await timeStep(probe, rows, memory.last);
    const evaluation = await probe.evaluation();
    const evaluations = evaluation ? countEvaluations(run) : 0;
    const evaluationSeconds = (evaluation?.seconds ?? 0) * examples.length;
    const stepSeconds = step.seconds * accumulate;
    return {
      name: config.name,
      run: config.run,
      backend: `${backend.name}: ${backend.description}`,
      model,
      training: plan,
      steps: config.steps,
      time: {
        step: stepSeconds,
        probedRows: step.rows,
        evaluations,
        evaluation: evaluationSeconds,
        total: config.steps * stepSeconds + evaluations * evaluationSeconds,
      },
      memory: {
        needed: Math.max(memory.fixed + memory.perRow * rows, step.peakBytes),
        limit,
        largestBatch: largestRows * accumulate,
      },
      disk: await planDisk(run, probe.stateBytes, evaluations * (evaluation?.bytes ?? 0) * examples.length),
      tokensPerExpert: model.switch && {
        encoder: (config.stream.batchSize * stream.lengths.inputs) / model.switch.experts,
        decoder: (config.stream.batchSize * stream.lengths.targets) / model.switch.experts,
      },
    };
  } finally {
    probe.close();
  }
}

/** Memory as a line over rows, from two small batches. */
async function probeMemory(
  probe: RunProbe,
  rows: number,
  least: (rows: number) => number,
): Promise<{ fixed: number; perRow: number; last: StepProbe }> {
  const few = Math.max(1, Math.floor(rows / 8));
  const first = await probe.steps(few);
  const last = await probe.steps(2 * few);
  // Where the process's own memory hides so small a batch: what every implementation must keep.
  const perRow = Math.max((last.peakBytes - first.peakBytes) / few, least(2) - least(1));
  return { fixed: last.peakBytes - perRow * last.rows, perRow, last };
}

async function timeStep(probe: RunProbe, rows: number, small: StepProbe): Promise<StepProbe> {
  const expected = (small.seconds * rows) / small.rows;
  if (small.rows === rows) return small;
  return 5 * expected > mostProbeSeconds ? { ...small, seconds: expected } : await probe.steps(rows);
}

function countEvaluations({ config }: PreparedRun): number {
  const { every } = config.evaluation;
  const between =
    typeof every === "number"
      ? Math.ceil(config.steps / every) - 1
      : every.filter((step) => step > 0 && step < config.steps).length;
  return between + [0, config.steps].filter((step) => isEvaluationDue(config, step)).length;
}

/** Checkpoints that are kept, and one that is being written. */
async function planDisk({ config }: PreparedRun, stateBytes: number, evaluations: number): Promise<RunPlan["disk"]> {
  const { keepLast, keepEvery, every } = config.checkpoints;
  const written = Math.ceil(config.steps / every);
  const kept = Math.min(keepLast, written) + (keepEvery ? Math.floor(config.steps / keepEvery) : 0);
  const checkpoints = Math.min(kept + 1, written + 1);
  let folder = resolve(config.run);
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  const total = checkpoints * stateBytes + evaluations;
  return { checkpoint: stateBytes, checkpoints, evaluations, total, free: bavail * bsize };
}
