import type * as tf from "@tensorflow/tfjs-core";
import type { World } from "../distributed/world.js";
import type { LossShare, StepResult } from "../model/lossAndGradients.js";
import type { Batch } from "../stream/batch.js";

/** A rank's part of a global batch: consecutive rows, and what they weigh in the loss. */
export interface BatchPart {
  batch: Batch;
  share: LossShare;
}

/**
 * The rows of a batch that a rank computes. Every rank has the whole batch, since a batch is a function of the step, so that the weights
 * need no message.
 */
export function partOf(batch: Batch, { rank, size }: Pick<World, "rank" | "size">): BatchPart {
  if (size === 1) return { batch, share: { crossEntropy: 1, auxiliary: 1 } };
  const rows = batch.batchSize / size;
  const slice = (values: Int32Array, length: number): Int32Array =>
    values.subarray(rank * rows * length, (rank + 1) * rows * length);
  const targets = slice(batch.targets, batch.lengths.targets);
  const real = countReal(targets);
  return {
    batch: {
      ...batch,
      batchSize: rows,
      inputs: slice(batch.inputs, batch.lengths.inputs),
      targets,
      languages: slice(batch.languages, 1),
    },
    share: { crossEntropy: real / countReal(batch.targets), auxiliary: 1 / size },
  };
}

/** Targets that count in the loss: those that are not padding. */
function countReal(targets: Int32Array): number {
  let count = 0;
  for (const id of targets) if (id !== 0) count++;
  return count;
}

/**
 * Makes every rank's losses and gradients the whole batch's, in place, and the routing figures their mean. All ranks call it.
 *
 * @param stop 1 where this rank was asked to stop, [1]; becomes the number of those that were
 */
export async function reduceStep(world: World, result: StepResult, stop: tf.Tensor): Promise<void> {
  const { loss, crossEntropy, distillation, auxLoss, zLoss, routing, gradients } = result;
  const soft = distillation ? [distillation] : [];
  await world.sum([...gradients.values(), loss, crossEntropy, ...soft, auxLoss, zLoss, stop]);
  const figures = routing.flatMap(({ load, fractionDropped, meanGateProbability }) => [
    load,
    fractionDropped,
    meanGateProbability,
  ]);
  if (figures.length > 0) await world.mean(figures);
}
