import * as tf from "@tensorflow/tfjs-core";
import { crossEntropyOfParts } from "../ops/distributed/crossEntropyOfParts.js";
import { linearCrossEntropy } from "../ops/linearCrossEntropy.js";
import { linearDistillation } from "../ops/linearDistillation.js";
import type { ModelConfig } from "./config.js";
import type { ModelGroups } from "./modelGroups.js";
import type { Parameters } from "./parameters.js";
import { disposeReports, type RouterReport } from "./routerReport.js";
import { type ModelBatch, type OnGradient, switchT5 } from "./switchT5.js";
import { type Teacher, teacherOutput } from "./teacher.js";

export type { ModelBatch } from "./switchT5.js";

export interface StepResult {
  /**
   * crossEntropy + auxLoss + zLoss: what the gradients are of. With a teacher (1 − weight)·crossEntropy + weight·T²·distillation takes the
   * first one's place.
   */
  loss: tf.Scalar;
  /** Mean over the batch's real target tokens, natural log; of a part of a batch its share in that mean. */
  crossEntropy: tf.Scalar;
  /** With a teacher: cross-entropy with its probabilities, both softened by T; of a part of a batch its share. */
  distillation?: tf.Scalar;
  /** Weighted load-balancing loss α·N·Σ f·P, summed over layers; 0 where dense. */
  auxLoss: tf.Scalar;
  /** Weighted router z-loss, summed over layers. */
  zLoss: tf.Scalar;
  /** One per Switch layer, encoder first. */
  routing: RouterReport[];
  /** Of every parameter, by its name and in its shape. */
  gradients: Map<string, tf.Tensor>;
}

/** What a part of a batch weighs in the loss of the whole: sums over the parts are then the whole batch's. */
export interface LossShare {
  /** The part's real target tokens over the batch's. */
  crossEntropy: number;
  /** Of balance and z-loss, which are means over routing groups: the part's tokens over the batch's. */
  auxiliary: number;
}

export interface LossOptions {
  seed: number;
  /** A number or, where the step is captured to be replayed, int32 [1]. */
  step: number | tf.Tensor1D;
  /** The batch is the whole where left out. */
  share?: LossShare;
  /** f of the balance loss by layer, of more tokens than are here: see `RouterOptions.globalLoad_E`. */
  globalLoads?: ReadonlyMap<string, tf.Tensor1D>;
  /** Whose probabilities are part of the loss. */
  teacher?: Teacher;
  /** Over whom the model is split; left out: over nobody. A vocabulary that is split has no teacher. */
  groups?: ModelGroups;
  /** Told in the backward pass of each parameter's gradient as soon as it is whole. */
  onGradient?: OnGradient;
}

/** One training step's loss and gradients. The caller disposes of the result (`disposeStep`). Noise is a function of seed and step. */
export function lossAndGradients(
  config: ModelConfig,
  params: Parameters,
  batch: ModelBatch,
  { seed, step, share = { crossEntropy: 1, auxiliary: 1 }, globalLoads, teacher, groups, onGradient }: LossOptions,
): StepResult {
  let parts: Omit<StepResult, "loss" | "gradients"> | undefined;
  // Outside of the gradient: nothing of the teacher's pass is kept for it.
  const taught = teacher && teacherOutput(teacher, batch);
  const { value, grads } = tf.variableGrads(() => {
    const { hidden_BTD, head_VD, real_BT, routed } = switchT5(config, params, batch, {
      training: true,
      seed,
      step: typeof step === "number" ? tf.tensor1d([step], "int32") : step,
      globalLoads,
      groups,
      onGradient,
    });
    const hidden_ND = tf.reshape(hidden_BTD, [-1, config.dModel]) as tf.Tensor2D;
    const target_N = tf.reshape(batch.targets, [-1]) as tf.Tensor1D;
    const real_N = tf.reshape(real_BT, [-1]) as tf.Tensor1D;
    const ofShare = (mean: tf.Scalar): tf.Scalar =>
      share.crossEntropy === 1 ? mean : tf.mul<tf.Scalar>(mean, share.crossEntropy);
    const distilled = teacher && taught && linearDistillation(hidden_ND, head_VD, target_N, real_N, taught, teacher);
    const split = groups && groups.model.size > 1 ? groups.model : undefined;
    const hard = (): tf.Scalar =>
      split
        ? crossEntropyOfParts(hidden_ND, head_VD, target_N, real_N, split)
        : linearCrossEntropy(hidden_ND, head_VD, target_N, real_N);
    const crossEntropy = ofShare(distilled?.hard ?? hard());
    const distillation = distilled && ofShare(distilled.soft);

    const { auxLossWeight = 0, zLossWeight = 0 } = config.switch ?? {};
    const weighted = (terms: tf.Scalar[], weight: number): tf.Scalar =>
      terms.length === 0 || weight === 0
        ? tf.scalar(0)
        : tf.mul(
            terms.reduce((sum, term) => tf.add(sum, term)),
            weight,
          );
    const auxLoss = weighted(
      routed.map(({ balance }) => balance),
      auxLossWeight * share.auxiliary,
    );
    const zLoss = weighted(zLossWeight === 0 ? [] : routed.map(({ z }) => z()), zLossWeight * share.auxiliary);

    // Kept: the scope of variableGrads frees everything but the loss.
    const routing = routed.map(({ report }) => report);
    for (const { load, fractionDropped, meanGateProbability, expertCounts } of routing) {
      for (const tensor of [load, fractionDropped, meanGateProbability, expertCounts]) tf.keep(tensor);
    }
    parts = {
      ...{ crossEntropy: tf.keep(crossEntropy), auxLoss: tf.keep(auxLoss), zLoss: tf.keep(zLoss), routing },
      ...(distillation ? { distillation: tf.keep(distillation) } : {}),
    };
    if (distilled && crossEntropy !== distilled.hard) tf.dispose([distilled.hard, distilled.soft]);
    return tf.add(tf.add(distilled ? ofShare(distilled.loss) : crossEntropy, auxLoss), zLoss);
  }, [...params.values()]);
  taught?.hidden_NM.dispose();
  const gradients = new Map<string, tf.Tensor>();
  for (const [name, variable] of params) gradients.set(name, grads[variable.name]);
  return { loss: value, gradients, ...parts! };
}

/** Frees every tensor of a step. */
export function disposeStep({
  loss,
  crossEntropy,
  distillation,
  auxLoss,
  zLoss,
  routing,
  gradients,
}: StepResult): void {
  tf.dispose([loss, crossEntropy, auxLoss, zLoss, ...(distillation ? [distillation] : []), ...gradients.values()]);
  disposeReports(routing);
}
