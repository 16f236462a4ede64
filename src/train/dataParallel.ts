import type { TensorRows } from "@mswitch/tfjs-backend-torch/distributed";
import * as tf from "@tensorflow/tfjs-core";
import { type OwnedRows, type Ownership, ownRows } from "../distributed/ownership.js";
import { copiesOf, isWhole, placementOf } from "../distributed/placement.js";
import type { World, WorldGroup } from "../distributed/world.js";
import type { LossShare, StepResult } from "../model/lossAndGradients.js";
import type { Parameters } from "../model/parameters.js";
import type { RankGroup } from "../ops/distributed/collectives.js";
import type { Batch } from "../stream/batch.js";
import { gradientNorm } from "./gradientNorm.js";

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

/**
 * A rank of the expert axis has seen all of its group's tokens: its experts' gradients are whole but for the data axis.
 *
 * @param owners who needs which sums; everyone needs all where left out
 */
export function gradientSums({ batch, data }: Pick<World, "batch" | "data">, owners?: Ownership): GradientSums {
  const running: Promise<void>[] = [];
  const buckets = new Map<string, ReturnType<typeof bucketOf>>();
  const bucketOf = (group: WorldGroup, owner?: number) => {
    let bucket: TensorRows[] = [];
    let values = 0;
    const start = (): void => {
      if (bucket.length === 0) return;
      const tensors = bucket.map(({ tensor }) => tensor);
      const work = owner === undefined ? group.sum(tensors) : group.sumTo(owner, bucket);
      // Whoever finishes hears of a failure; a backward pass that fails first does not.
      work.catch(() => {});
      running.push(work);
      tf.dispose(tensors);
      bucket = [];
      values = 0;
    };
    const add = (tensor: tf.Tensor, { begin, rows }: Pick<OwnedRows, "begin" | "rows">): void => {
      const size = (tensor.size / tensor.shape[0]) * rows;
      if (values + size > bucketValues) start();
      bucket.push({ tensor: tf.keep(tensor.clone()), begin, rows });
      values += size;
    };
    return { add, start };
  };
  return {
    add(name, gradient) {
      const { splitByExpert } = placementOf(name);
      const group = splitByExpert ? data : batch;
      if (group.size === 1) return;
      const runs = owners?.get(name) ?? [{ begin: 0, rows: gradient.shape[0], owner: undefined }];
      for (const run of runs) {
        const key = `${splitByExpert} ${run.owner}`;
        const bucket = buckets.get(key) ?? bucketOf(group, run.owner);
        buckets.set(key, bucket);
        bucket.add(gradient, run);
      }
    },
    async finish() {
      for (const bucket of buckets.values()) bucket.start();
      await Promise.all(running);
    },
  };
}

/** Some rows of a tensor, as one of its own. */
export function rowsOf(x: tf.Tensor, { begin, rows }: Pick<OwnedRows, "begin" | "rows">): tf.Tensor {
  const [all, ...rest] = x.shape;
  return rows === all ? x.clone() : tf.slice(x, [begin, ...rest.map(() => 0)], [rows, ...rest]);
}

/**
 * Brings the parameters that each rank has updated to all that hold the same.
 *
 * @param alone rows that this rank has updated beside their parameter, by its name
 */
export async function shareParameters(
  { batch, data }: Pick<World, "batch" | "data">,
  params: Parameters,
  owners: Ownership,
  alone: ReadonlyMap<string, tf.Tensor>,
): Promise<void> {
  for (const group of batch === data ? [batch] : [batch, data]) {
    for (let owner = 0; owner < group.size && group.size > 1; owner++) {
      const owned = [...owners].flatMap(([name, runs]) => {
        const run = runs.find((one) => one.owner === owner);
        return run && (placementOf(name).splitByExpert ? data : batch) === group ? [{ name, run }] : [];
      });
      const to = owned.map(({ name, run }) => ({ ...run, tensor: params.get(name)! }));
      const from = to.map((rows, i) => alone.get(owned[i].name) ?? rows);
      if (to.length > 0) await group.broadcast(owner, to, from);
    }
  }
}

/**
 * Makes every rank's losses and gradients the whole batch's, in place, and the routing figures their mean. All ranks call it.
 *
 * @param stop 1 where this rank was asked to stop, [1]; becomes the number of those that were
 * @param sums has the gradients, where ranks share the batch
 * @param owners who has which of their sums; everyone has all where left out
 * @returns the norm of all gradients together, of all ranks' parts
 */
export async function reduceStep(
  world: World,
  result: StepResult,
  stop: tf.Tensor,
  sums?: GradientSums,
  owners?: Ownership,
): Promise<tf.Scalar> {
  const { loss, crossEntropy, distillation, auxLoss, zLoss, routing, gradients } = result;
  const losses = [loss, crossEntropy, ...(distillation ? [distillation] : []), auxLoss, zLoss];
  const whole = isWhole(world.mesh) && !owners;
  await sums?.finish();
  await world.batch.sum(whole ? [...losses, stop] : losses);
  const figures = routing.flatMap(({ load, fractionDropped, meanGateProbability }) => [
    load,
    fractionDropped,
    meanGateProbability,
  ]);
  if (figures.length > 0) await world.batch.mean(figures);
  if (whole) return gradientNorm(gradients);
  const squares = tf.tidy(() => squaresOfParts(world, gradients, owners));
  await world.all.sum([squares, stop]);
  const norm = tf.sqrt(squares);
  squares.dispose();
  return norm;
}

/** Squares of this rank's gradients, so weighted that the sum over all ranks counts each part once. */
function squaresOfParts(
  { mesh, at }: World,
  gradients: ReadonlyMap<string, tf.Tensor>,
  owners: Ownership | undefined,
): tf.Scalar {
  const byCopies = new Map<number, Map<string, tf.Tensor>>();
  for (const [name, gradient] of gradients) {
    const own = owners && ownRows(owners, name, mesh, at);
    if (owners && !own) continue;
    const copies = copiesOf(placementOf(name), mesh);
    const some = byCopies.get(copies) ?? new Map<string, tf.Tensor>();
    byCopies.set(copies, some.set(name, own ? rowsOf(gradient, own) : gradient));
  }
  const squares = [...byCopies].map(([copies, some]) => tf.div(tf.square(gradientNorm(some)), copies) as tf.Scalar);
  return squares.length > 0 ? tf.addN(squares) : tf.scalar(0);
}
