import * as tf from "@tensorflow/tfjs-core";
import type { World } from "../distributed/world.js";
import type { ModelConfig } from "../model/config.js";
import { disposeStep, lossAndGradients, type ModelBatch, type StepResult } from "../model/lossAndGradients.js";
import type { ModelGroups } from "../model/modelGroups.js";
import type { Parameters } from "../model/parameters.js";
import { disposeReports, type RouterReport } from "../model/routerReport.js";
import { type OnGradient, switchT5 } from "../model/switchT5.js";
import type { Teacher } from "../model/teacher.js";
import type { RankGroup } from "../ops/distributed/collectives.js";
import type { Batch } from "../stream/batch.js";
import { partOf } from "./dataParallel.js";

/** Between the noise of one micro-batch and that of the next. */
const seedStride = 15_485_863;

export interface AccumulatedStep {
  model: ModelConfig;
  params: Parameters;
  seed: number;
  step: number;
  teacher?: Teacher;
  /** Told of each gradient as soon as it is whole: with several micro-batches after the last of them. */
  onGradient?: OnGradient;
}

/**
 * Loss and gradients of a rank's rows of a batch, computed in `parts` micro-batches of equal size one after the other: the memory of one of them, and
 * the gradients of all rows together. The same as in one go but for rounding, where
 *
 * - a routing group lies within a micro-batch (`group: sequence`, or a number of tokens that divides it), or nothing is dropped and
 *   `balance` is "batch": places are counted in groups;
 * - there is no noise: each micro-batch draws its own.
 *
 * With `balance: "batch"` the loads of all micro-batches and ranks are counted first, in a forward pass of its own: a third more work.
 */
export function accumulateGradients(
  batch: Batch,
  parts: number,
  world: Pick<World, "batch" | "expert" | "model">,
  { model, params, seed, step, teacher, onGradient }: AccumulatedStep,
): StepResult {
  const { rank, size } = world.batch;
  const groups: ModelGroups = world;
  const microBatches = Array.from({ length: parts }, (_, i) =>
    partOf(batch, { rank: rank * parts + i, size: size * parts }),
  );
  const isGlobal = parts * size > 1 && model.switch?.balance === "batch" && model.switch.auxLossWeight > 0;
  const seedOf = (i: number): number => seed + seedStride * i;
  const withTensors = <T>(of: Batch, body: (tensors: ModelBatch) => T): T => {
    const tensors = toTensors(of);
    const result = body(tensors);
    tf.dispose([tensors.inputs, tensors.targets]);
    return result;
  };
  const loads = isGlobal
    ? globalLoads(
        microBatches.map(({ batch: micro }, i) =>
          withTensors(micro, (tensors) => loadsOf(model, params, tensors, { seed: seedOf(i), step, groups })),
        ),
        world.batch,
      )
    : undefined;
  let sum: StepResult | undefined;
  for (const [i, { batch: micro, share }] of microBatches.entries()) {
    const result = withTensors(micro, (tensors) =>
      lossAndGradients(model, params, tensors, {
        ...{ seed: seedOf(i), step, share, teacher, groups },
        globalLoads: loads?.[i],
        onGradient: parts === 1 ? onGradient : undefined,
      }),
    );
    sum = sum ? added(sum, result) : result;
  }
  for (const ofPart of loads ?? []) for (const load of ofPart.values()) load.dispose();
  if (parts === 1) return sum!;
  for (const [name, gradient] of sum!.gradients) onGradient?.(name, gradient);
  return withMeanRouting(sum!, parts);
}

/** A batch's ids on the device. The caller disposes of them. */
export function toTensors({ batchSize, lengths, inputs, targets, endId }: Batch): ModelBatch {
  return {
    ...(endId === undefined ? {} : { endId }),
    inputs: tf.tensor2d(inputs, [batchSize, lengths.inputs], "int32"),
    targets: tf.tensor2d(targets, [batchSize, lengths.targets], "int32"),
  };
}

/** How often each expert was chosen in each layer of a micro-batch, [E], by layer. */
function loadsOf(
  model: ModelConfig,
  params: Parameters,
  batch: ModelBatch,
  { seed, step, groups }: { seed: number; step: number; groups: ModelGroups },
): Map<string, tf.Tensor1D> {
  const counts = new Map<string, tf.Tensor1D>();
  tf.tidy(() => {
    const mode = { training: true, seed, step: tf.tensor1d([step], "int32"), groups } as const;
    for (const { report } of switchT5(model, params, batch, mode).routed) {
      // Padding that is routed counts, and is no part of `expertCounts`: then all micro-batches weigh the same.
      const weight = model.switch?.ignorePadding ? tf.sum(report.expertCounts) : tf.scalar(1);
      counts.set(report.layer, tf.keep(tf.mul(report.load, weight)));
    }
  });
  return counts;
}

/**
 * What each micro-batch's balance takes for f, by layer: the whole batch's loads, those of all ranks, times what the micro-batch has of its
 * choices in parts of an equal share. It takes the mean of its own probabilities, and weighs 1 / parts.
 */
function globalLoads(
  counts: readonly ReadonlyMap<string, tf.Tensor1D>[],
  batch: RankGroup,
): Map<string, tf.Tensor1D>[] {
  const layers = [...counts[0].keys()];
  const sums = tf.tidy(() => {
    const ownSums = layers.map((layer) => counts.map((ofPart) => ofPart.get(layer)!).reduce((a, b) => tf.add(a, b)));
    const own_LE = tf.stack(ownSums);
    return tf.unstack(batch.size === 1 ? own_LE : batch.collective("sum", own_LE)) as tf.Tensor1D[];
  });
  const parts = counts.length * batch.size;
  const loads = counts.map((ofPart) => {
    const scaled = layers.map((layer, i): [string, tf.Tensor1D] => [
      layer,
      tf.tidy(() => {
        const total = tf.sum(sums[i]);
        const share = tf.div(tf.mul(tf.sum(ofPart.get(layer)!), parts), total);
        return tf.mul(tf.div(sums[i], total), share);
      }),
    ]);
    return new Map(scaled);
  });
  tf.dispose(sums);
  for (const ofPart of counts) for (const own_E of ofPart.values()) own_E.dispose();
  return loads;
}

/** Sums of two results, which are freed. */
function added(a: StepResult, b: StepResult): StepResult {
  const sum = <T extends tf.Tensor>(x: T, y: tf.Tensor): T => tf.add(x, y) as T;
  const result: StepResult = {
    loss: sum(a.loss, b.loss),
    crossEntropy: sum(a.crossEntropy, b.crossEntropy),
    ...(a.distillation && b.distillation ? { distillation: sum(a.distillation, b.distillation) } : {}),
    auxLoss: sum(a.auxLoss, b.auxLoss),
    zLoss: sum(a.zLoss, b.zLoss),
    routing: a.routing.map((report, i) => ({
      layer: report.layer,
      load: sum(report.load, b.routing[i].load),
      fractionDropped: sum(report.fractionDropped, b.routing[i].fractionDropped),
      meanGateProbability: sum(report.meanGateProbability, b.routing[i].meanGateProbability),
      expertCounts: tf.concat2d([report.expertCounts, b.routing[i].expertCounts], 0),
    })),
    gradients: new Map([...a.gradients].map(([name, gradient]) => [name, sum(gradient, b.gradients.get(name)!)])),
  };
  disposeStep(a);
  disposeStep(b);
  return result;
}

/** Routing figures are means over the micro-batches. */
function withMeanRouting(result: StepResult, parts: number): StepResult {
  const routing = result.routing.map(
    ({ layer, load, fractionDropped, meanGateProbability, expertCounts }): RouterReport => ({
      layer,
      load: tf.div(load, parts),
      fractionDropped: tf.div(fractionDropped, parts),
      meanGateProbability: tf.div(meanGateProbability, parts),
      expertCounts: tf.clone(expertCounts),
    }),
  );
  disposeReports(result.routing);
  return { ...result, routing };
}
