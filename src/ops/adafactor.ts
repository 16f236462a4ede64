import type * as tf from "@tensorflow/tfjs-core";

/** The second moments of one parameter, by slot: `row` and `column` where factored, `full` where not. Float32. */
export type AdafactorState = ReadonlyMap<string, tf.Variable>;

export interface AdafactorOptions {
  learningRate: number;
  /** From 0: β = 1 − (step + 1)^−0.8. */
  step: number;
  /** Factor only where both of the last two axes have at least this many entries. T5X: 128. */
  minFactoredSize?: number;
}

/** Shapes of a parameter's state by slot. Leading axes beyond the last two (stacked experts) are kept. */
export function adafactorStateShapes(_shape: readonly number[], _minFactoredSize = 128): Map<string, number[]> {
  throw new Error("internal: not written yet");
}

/** Assigns the updated value to `param` and the updated moments to `state`. Leaves no tensor behind. */
export function adafactorUpdate(
  _param: tf.Variable,
  _gradient: tf.Tensor,
  _state: AdafactorState,
  _options: AdafactorOptions,
): void {
  throw new Error("internal: not written yet");
}
