import * as tf from "@tensorflow/tfjs-core";
import { copiesOf, isWhole, placementOf } from "../distributed/placement.js";
import type { World, WorldGroup } from "../distributed/world.js";
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

/** Sums of gradients over the ranks that share a batch, bucket by bucket, each started when its gradients are there. */
export interface GradientSums {
  /** Takes a gradient into the bucket in hand. All ranks give the same ones in the same order. */
  add(name: string, gradient: tf.Tensor): void;
  /** Settles when all that were given are sums, in place. */
  finish(): Promise<void>;
}

/** Values of a bucket: 32 MiB. Larger ones would start late, many small collectives wait for each other. */
const bucketValues = 8 << 20;

/** A rank of the expert axis has seen all of its group's tokens: its experts' gradients are whole but for the data axis. */
export function gradientSums({ batch, data }: Pick<World, "batch" | "data">): GradientSums {
  const running: Promise<void>[] = [];
  const bucketsOf = (group: WorldGroup): { add(gradient: tf.Tensor): void; start(): void } => {
    let bucket: tf.Tensor[] = [];
    let values = 0;
    const start = (): void => {
      if (bucket.length === 0) return;
      const work = group.sum(bucket);
      // Whoever finishes hears of a failure; a backward pass that fails first does not.
      work.catch(() => {});
      running.push(work);
      tf.dispose(bucket);
      bucket = [];
      values = 0;
    };
    return {
      add(gradient) {
        if (group.size === 1) return;
        if (values + gradient.size > bucketValues) start();
        bucket.push(tf.keep(gradient.clone()));
        values += gradient.size;
      },
      start,
    };
  };
  const [everywhere, experts] = [batch, data].map(bucketsOf);
  return {
    add: (name, gradient) => (placementOf(name).splitByExpert ? experts : everywhere).add(gradient),
    async finish() {
      for (const buckets of [everywhere, experts]) buckets.start();
      await Promise.all(running);
    },
  };
}

/**
 * Makes every rank's losses and gradients the whole batch's, in place, and the routing figures their mean. All ranks call it.
 *
 * @param stop 1 where this rank was asked to stop, [1]; becomes the number of those that were
 * @param sums has the gradients, where ranks share the batch
 * @returns the norm of all gradients together, of all ranks' parts
 */
export async function reduceStep(
  world: World,
  result: StepResult,
  stop: tf.Tensor,
  sums?: GradientSums,
): Promise<tf.Scalar> {
  const { loss, crossEntropy, distillation, auxLoss, zLoss, routing, gradients } = result;
  const losses = [loss, crossEntropy, ...(distillation ? [distillation] : []), auxLoss, zLoss];
  const whole = isWhole(world.mesh);
  await sums?.finish();
  await world.batch.sum(whole ? [...losses, stop] : losses);
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
