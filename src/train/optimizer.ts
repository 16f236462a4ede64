import * as tf from "@tensorflow/tfjs-core";
import { MswitchError } from "../base/errors.js";
import { openSafetensors, type TensorSource, writeSafetensors } from "../model/checkpoint/safetensors.js";
import type { Parameters } from "../model/parameters.js";
import { fastKernel } from "../ops/fastPath.js";
import {
  type AdafactorParameter,
  type AdafactorState,
  adafactor,
  adafactorGuarded,
  adafactorStateShapes,
} from "../ops/optimizers/adafactor.js";

/** Adafactor over all parameters of a model; its moments are variables beside the weights. */
export interface Optimizer {
  /** One update of every parameter. `step` counts from 0. Leaves no tensor behind. */
  update(gradients: ReadonlyMap<string, tf.Tensor>, options: { learningRate: number; step: number }): void;
  /** The same with what changes from step to step in tensors: see `adafactorGuarded`. */
  updateGuarded(gradients: ReadonlyMap<string, tf.Tensor>, rates_2: tf.Tensor1D, guard: tf.Tensor): void;
  /** Writes the moments to a safetensors file, `parameter/slot` each. */
  save(path: string): Promise<void>;
  /** Takes the moments from a file that `save` wrote; refuses one of another model. */
  restore(path: string): Promise<void>;
  dispose(): void;
}

/** Fresh moments, all 0, for `params`. Expert stacks are factored, clipped and scaled expert by expert (papers: T5X). */
export function createOptimizer(params: Parameters, minFactoredSize: number): Optimizer {
  const states = new Map<string, AdafactorState>();
  for (const [name, param] of params) {
    const slots = [...adafactorStateShapes(param.shape, minFactoredSize)];
    states.set(name, new Map(slots.map(([slot, shape]) => [slot, tf.tidy(() => tf.variable(tf.zeros(shape), false))])));
  }
  const entries = (): [string, tf.Variable][] =>
    [...states].flatMap(([name, slots]) =>
      [...slots].map(([slot, value]): [string, tf.Variable] => [`${name}/${slot}`, value]),
    );

  const withGradients = (gradients: ReadonlyMap<string, tf.Tensor>): AdafactorParameter[] =>
    [...params].map(([name, param]) => {
      const gradient = gradients.get(name);
      if (gradient === undefined) throw new Error(`internal: no gradient of ${name}`);
      return { param, gradient, state: states.get(name)! };
    });

  return {
    update: (gradients, options) => adafactor(withGradients(gradients), options),
    updateGuarded: (gradients, rates_2, guard) => adafactorGuarded(withGradients(gradients), rates_2, guard),
    async save(path) {
      const sources = entries().map(([name, value]): TensorSource => {
        return { name, shape: value.shape, dtype: "F32", values: () => value.data<"float32">() };
      });
      await writeSafetensors(path, sources);
    },
    async restore(path) {
      const file = await openSafetensors(path);
      try {
        const expected = entries();
        for (const [name, value] of expected) {
          const found = file.tensors.get(name)?.shape;
          if (found?.join() === value.shape.join()) continue;
          const why = found ? `${name} is [${found}], not [${value.shape}]` : `${name} is missing`;
          throw new MswitchError("this is the optimizer state of another model", {
            code: "optimizer-state-mismatch",
            where: path,
            why,
          });
        }
        for (const [name, value] of expected) {
          const values = await file.readFloat(name);
          tf.tidy(() => value.assign(tf.tensor(values, value.shape, "float32")));
        }
      } finally {
        await file.close();
      }
    },
    dispose() {
      for (const [, value] of entries()) value.dispose();
    },
  };
}

/** √ of the sum of squares over all gradients, as a scalar of the backend. Not finite where any gradient is not. */
export function gradientNorm(gradients: ReadonlyMap<string, tf.Tensor>): tf.Scalar {
  const kernel = fastKernel("TorchSumOfSquares");
  return tf.tidy(() => {
    const all = [...gradients.values()];
    const sum = kernel
      ? kernel(Object.fromEntries(all.entries()))[0]
      : tf.addN(all.map((gradient) => tf.sum(tf.square(gradient))));
    return tf.sqrt(sum) as tf.Scalar;
  });
}
