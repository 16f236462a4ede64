import * as tf from "@tensorflow/tfjs-core";
import { fastKernel } from "../fastPath.js";

/** The moments of one parameter, by slot. Float32. */
export type Moments = ReadonlyMap<string, tf.Variable>;

/** One parameter of a step. A third axis in front is a stack of experts, each of them a matrix of its own. */
export interface OptimizedParameter {
  param: tf.Variable;
  gradient: tf.Tensor;
  /** Of the shapes that the algorithm's `stateShapes` gives; zeros at the start. */
  state: Moments;
  /** Where parameter and moments are a rank's part of larger ones: what of each matrix the ranks have different ones of. */
  split?: "rows" | "columns";
}

/** What a step knows beside its gradients. */
export interface UpdatePlace {
  learningRate: number;
  /** From 0. */
  step: number;
  /** Gradients are taken times this, as clipping by their norm asks; 1 where left out. */
  gradientScale?: number;
}

/** How parameters follow from their gradients. Leaves no tensor behind. */
export interface OptimizerAlgorithm {
  /** Shapes of a parameter's moments by slot. */
  stateShapes(shape: readonly number[]): Map<string, number[]>;
  /** Changes parameters and moments, in place where the backend can. */
  update(parameters: readonly OptimizedParameter[], place: UpdatePlace): void;
  /** All that changes from step to step beside the gradients, float32 [R]; the gradients' scale comes last. */
  rates(place: UpdatePlace): Float32Array;
  /**
   * The same in place, with all that changes from step to step in tensors, so that the step can be recorded. Only on a backend
   * that has the kernel.
   *
   * @param rates_R see `rates`
   * @param guard nothing changes where one of its values is not finite
   */
  updateGuarded(parameters: readonly OptimizedParameter[], rates_R: tf.Tensor1D, guard: tf.Tensor): void;
}

interface AlgorithmParts {
  stateShapes: OptimizerAlgorithm["stateShapes"];
  rates: OptimizerAlgorithm["rates"];
  /** One parameter's step in TensorFlow.js's operations: what the kernel is held to. */
  reference(parameter: OptimizedParameter, place: UpdatePlace): void;
  /** The fused kernel over all parameters. Inputs: rates, guard, then value, gradient and moments of each parameter. */
  kernel: string;
  attributes?: object;
}

/** An algorithm that takes its kernel where the backend has it, its reference elsewhere. */
export function optimizerAlgorithm(parts: AlgorithmParts): OptimizerAlgorithm {
  const { stateShapes, rates, reference, kernel: name, attributes } = parts;
  const updateGuarded: OptimizerAlgorithm["updateGuarded"] = (parameters, rates_R, guard) => {
    const kernel = fastKernel(name);
    if (!kernel) throw new Error(`internal: this backend has no ${name}`);
    const tensors: tf.Tensor[] = [rates_R, guard];
    const layout: number[] = [];
    for (const { param, gradient, state } of parameters) {
      const [rows, columns] = param.rank < 2 ? [1, param.size] : param.shape.slice(-2);
      const moments = [...stateShapes(param.shape).keys()].map((slot) => state.get(slot)!);
      for (const variable of [param, ...moments]) own(variable);
      tensors.push(param, gradient, ...moments);
      layout.push(param.size / (rows * columns), rows, columns, moments.length);
    }
    kernel(Object.fromEntries(tensors.entries()), { ...attributes, layout });
  };
  return {
    stateShapes,
    rates,
    updateGuarded,
    update(parameters, place) {
      if (!fastKernel(name)) {
        for (const parameter of parameters) reference(parameter, place);
      } else if (parameters.length > 0) {
        tf.tidy(() => updateGuarded(parameters, tf.tensor1d(rates(place)), tf.scalar(0)));
      }
    },
  };
}

/** Gives a variable data of its own where another tensor has the same, and would change with it. */
function own(variable: tf.Variable): void {
  if (tf.engine().backend.refCount(variable.dataId) > 1) tf.tidy(() => variable.assign(tf.add(variable, 0)));
}

/** Root mean square, of each matrix of a stack on its own; of a vector or matrix as a whole. Keeps its axes. */
export function rootMeanSquare(x: tf.Tensor): tf.Tensor {
  return tf.sqrt(tf.mean(tf.square(x), x.rank === 3 ? [1, 2] : undefined, true));
}

/** A gradient times `gradientScale`; itself where that is 1. */
export function scaledGradient(gradient: tf.Tensor, { gradientScale = 1 }: UpdatePlace): tf.Tensor {
  return gradientScale === 1 ? gradient : tf.mul(gradient, gradientScale);
}
