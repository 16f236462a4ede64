import * as tf from "@tensorflow/tfjs-core";
import { copiesOf, isWhole, placementOf } from "../distributed/placement.js";
import type { World } from "../distributed/world.js";
import type { LossShare, StepResult } from "../model/lossAndGradients.js";
import type { RankGroup } from "../ops/distributed/collectives.js";
import type { Batch } from "../stream/batch.js";
import { gradientNorm } from "./optimizer.js";

/** A rank's part of a global batch: consecutive rows, and what they weigh in the loss. */
export interface BatchPart {
  batch: Batch;
  share: LossShare;
}

/**
 * The rows of a batch that a rank computes. Every rank has the whole batch, since a batch is a function of the step, so that the weights
 * need no message.
 */
export function partOf(batch: Batch, { rank, size }: Pick<RankGroup, "rank" | "size">): BatchPart {
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
 * @returns the norm of all gradients together, of all ranks' parts
 */
export async function reduceStep(world: World, result: StepResult, stop: tf.Tensor): Promise<tf.Scalar> {
  const { loss, crossEntropy, distillation, auxLoss, zLoss, routing, gradients } = result;
  const losses = [loss, crossEntropy, ...(distillation ? [distillation] : []), auxLoss, zLoss];
  const whole = isWhole(world.mesh);
  if (whole) {
    await world.all.sum([...gradients.values(), ...losses, stop]);
  } else {
    // A rank of the expert axis has seen all of its group's tokens: its experts' gradients are whole but for the data axis.
    const [everywhere, experts]: tf.Tensor[][] = [[], []];
    for (const [name, gradient] of gradients) (placementOf(name).splitByExpert ? experts : everywhere).push(gradient);
    await world.batch.sum([...everywhere, ...losses]);
    if (experts.length > 0) await world.data.sum(experts);
  }
  const figures = routing.flatMap(({ load, fractionDropped, meanGateProbability }) => [
    load,
    fractionDropped,
    meanGateProbability,
  ]);
  if (figures.length > 0) await world.batch.mean(figures);
  if (whole) return gradientNorm(gradients);
  const squares = tf.tidy(() => squaresOfParts(world, gradients));
  await world.all.sum([squares, stop]);
  const norm = tf.sqrt(squares);
  squares.dispose();
  return norm;
}

/** Squares of this rank's gradients, so weighted that the sum over all ranks counts each part once. */
function squaresOfParts({ mesh }: World, gradients: ReadonlyMap<string, tf.Tensor>): tf.Scalar {
  const byCopies = new Map<number, Map<string, tf.Tensor>>();
  for (const [name, gradient] of gradients) {
    const copies = copiesOf(placementOf(name), mesh);
    byCopies.set(copies, (byCopies.get(copies) ?? new Map<string, tf.Tensor>()).set(name, gradient));
  }
  return tf.addN([...byCopies].map(([copies, some]) => tf.div(tf.square(gradientNorm(some)), copies)));
}
