import * as tf from "@tensorflow/tfjs-core";
import type { TeacherOutput } from "../ops/linearDistillation.js";
import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";
import { type ModelBatch, switchT5 } from "./switchT5.js";

/** A model whose probabilities another one learns: distillation. */
export interface Teacher {
  config: ModelConfig;
  params: Parameters;
  /** Of its probabilities in the loss; the targets have the rest. */
  weight: number;
  temperature: number;
}

/** A teacher's output for a batch, without noise and with its evaluation capacity. The caller disposes of `hidden_NM`. */
export function teacherOutput({ config, params }: Teacher, batch: ModelBatch): TeacherOutput {
  let head_VM: tf.Tensor2D | undefined;
  const hidden_NM = tf.tidy(() => {
    const { hidden_BTD, head_VD } = switchT5(config, params, batch, { training: false });
    head_VM = head_VD;
    return tf.reshape(hidden_BTD, [-1, config.dModel]) as tf.Tensor2D;
  });
  return { hidden_NM, head_VM: head_VM! };
}
