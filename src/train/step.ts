import * as tf from "@tensorflow/tfjs-core";
import type { CapturedGraph, GraphCapture } from "../backends/graphCapture.js";
import { MswitchError, messageOf } from "../base/errors.js";
import { soloWorld, type World } from "../distributed/world.js";
import type { ModelConfig } from "../model/config.js";
import { disposeStep, lossAndGradients, type StepResult } from "../model/lossAndGradients.js";
import type { Parameters } from "../model/parameters.js";
import type { Teacher } from "../model/teacher.js";
import type { Batch } from "../stream/batch.js";
import { accumulateGradients, toTensors } from "./accumulate.js";
import { gradientSums, reduceStep } from "./dataParallel.js";
import { gradientNorm } from "./gradientNorm.js";
import type { Optimizer } from "./optimizer.js";

/** What one update is made of. */
export interface StepParts {
  model: ModelConfig;
  params: Parameters;
  optimizer: Optimizer;
  seed: number;
  /** The run's directory, for errors. */
  run: string;
  /** Whose probabilities are part of the loss. */
  teacher?: Teacher;
  /** Micro-batches that a process computes its rows in; 1 where left out. */
  accumulate?: number;
  /** The processes that share each batch. */
  world?: World;
  /** Whether this process was asked to stop. */
  isStopping?(): boolean;
  /** Where there is one, steps are captured once and replayed. */
  capture?: GraphCapture;
  /** Told once why steps are not captured though they could be. */
  onEager?(why: string): void;
}

export interface StepOutcome {
  /** Its gradients may be gone. */
  result: StepResult;
  gradNorm: number;
  /** Whether any of the processes was asked to stop: all of them do so after the same step. */
  stop: boolean;
  dispose(): void;
}

/** From 0, with the learning rate of this update. */
export interface StepPlace {
  step: number;
  learningRate: number;
}

/**
 * One update of the weights, run after run: loss and gradients of a batch, then the optimizer.
 *
 * @throws MswitchError where loss or gradients are not finite; weights and moments are then as before
 */
export type TrainStep = (batch: Batch, place: StepPlace) => Promise<StepOutcome>;

/** Steps that run kernel by kernel before one is recorded: libraries choose and allocate what they need. */
const warmUpSteps = 2;

/** The training step on the active backend: recorded where that can be, else kernel by kernel. */
export function createTrainStep(parts: StepParts): TrainStep {
  const eager = eagerStep(parts);
  const { capture, onEager } = parts;
  if (!capture) return eager;
  if (parts.world && parts.world.size > 1) {
    onEager?.("several processes train together");
    return eager;
  }
  if ((parts.accumulate ?? 1) > 1) {
    onEager?.("a step is several micro-batches");
    return eager;
  }
  if (parts.teacher) {
    onEager?.("a teacher answers in each of them");
    return eager;
  }
  let done = 0;
  let step = eager;
  return async (batch, place) => {
    if (done++ !== warmUpSteps) return step(batch, place);
    const captured = captureStep(parts, capture, batch, place);
    if (captured instanceof Error) {
      onEager?.(captured.message);
      return eager(batch, place);
    }
    step = captured.step;
    return captured.first();
  };
}

function eagerStep({
  model,
  params,
  optimizer,
  seed,
  run,
  teacher,
  world = soloWorld,
  accumulate = 1,
  isStopping,
}: StepParts): TrainStep {
  return async (batch, { step, learningRate }) => {
    const sums = world.batch.size > 1 ? gradientSums(world, optimizer.owners) : undefined;
    const parts = { model, params, seed, step, teacher, onGradient: sums?.add };
    const result = accumulateGradients(batch, accumulate, world, parts);
    const stop = tf.tensor1d([isStopping?.() ? 1 : 0]);
    const norm =
      world.size > 1 ? await reduceStep(world, result, stop, sums, optimizer.owners) : gradientNorm(result.gradients);
    const guard = guardOf(result, norm);
    const gradNorm = await requireFinite(guard, step, run);
    optimizer.update(result.gradients, { learningRate, step, gradNorm });
    await optimizer.share();
    const stopping = (await stop.data())[0] > 0;
    const dispose = (): void => {
      disposeStep(result);
      tf.dispose([guard, stop]);
    };
    return { result, gradNorm, stop: stopping, dispose };
  };
}

/**
 * Records the whole step while it does it: batch, step number, and learning rate and the like, are written where it reads them; the guard
 * keeps the weights.
 *
 * @returns the outcome of this step and how the next ones are done; or why it cannot be recorded, with nothing changed
 */
function captureStep(
  { model, params, optimizer, seed, run, isStopping }: StepParts,
  capture: GraphCapture,
  first: Batch,
  firstPlace: StepPlace,
): { first(): Promise<StepOutcome>; step: TrainStep } | Error {
  const tensors = toTensors(first);
  const rates = tf.tensor1d(optimizer.rates(firstPlace));
  const step_1 = tf.tensor1d([firstPlace.step], "int32");
  let recorded: { result: StepResult; guard: tf.Tensor1D } | undefined;
  let isUpdating = false;
  let work: CapturedGraph;
  try {
    work = capture.record(() => {
      const result = lossAndGradients(model, params, tensors, { seed, step: step_1 });
      const guard = guardOf(result, gradientNorm(result.gradients));
      isUpdating = true;
      optimizer.updateGuarded(result.gradients, rates, guard);
      tf.dispose([...result.gradients.values()]);
      recorded = { result: { ...result, gradients: new Map() }, guard };
    });
  } catch (error) {
    // Weights may be changed in part: the step cannot be done again.
    if (isUpdating && capture.runsWhileRecording) throw error;
    tf.dispose([tensors.inputs, tensors.targets, rates, step_1]);
    return new Error(messageOf(error));
  }
  const outcome = async (place: StepPlace): Promise<StepOutcome> => {
    const { result, guard } = recorded!;
    const gradNorm = await requireFinite(guard, place.step, run);
    return { result, gradNorm, stop: isStopping?.() ?? false, dispose: () => {} };
  };
  return {
    first: () => outcome(firstPlace),
    step: ({ inputs, targets }, place) => {
      capture.overwrite(tensors.inputs, inputs);
      capture.overwrite(tensors.targets, targets);
      capture.overwrite(rates, optimizer.rates(place));
      capture.overwrite(step_1, Int32Array.of(place.step));
      work.replay();
      return outcome(place);
    },
  };
}

/** Loss and gradient norm, [2]. */
function guardOf({ loss }: StepResult, norm: tf.Scalar): tf.Tensor1D {
  const guard = tf.stack([loss, norm]) as tf.Tensor1D;
  norm.dispose();
  return guard;
}

/** Reads loss and gradient norm, in one transfer, and stops a step that would spoil the weights. Returns the norm. */
async function requireFinite(guard: tf.Tensor, step: number, run: string): Promise<number> {
  const [loss, gradNorm] = await guard.data();
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return gradNorm;
  throw new MswitchError(`step ${step + 1} has a loss of ${loss} and a gradient norm of ${gradNorm}`, {
    code: "loss-not-finite",
    where: run,
    why: "training diverged; the weights were not touched",
    hint: "Lower optimizer.learningRate.base, or model.init.scale, in a run directory of its own; the last checkpoint is whole.",
  });
}
