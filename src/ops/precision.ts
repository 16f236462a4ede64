import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";

/** Dtype in memory of a float32 tensor's values; the dtype stays float32. */
export type Dtype = "float32" | "bfloat16";

/**
 * The tensor in bfloat16 or float32 memory where the backend has both, else the tensor as it is. The gradient passes through as it comes.
 */
export function precision<T extends tf.Tensor>(x: T, dtype: Dtype): T {
  const kernel = fastKernel("TorchPrecision");
  if (!kernel) return x;
  return fastOp(
    [x],
    () => ({ value: kernel({ x }, { precision: dtype })[0] as T, saved: [] }),
    (dy) => [tf.clone(dy)],
  );
}

/** Whether the active backend holds bfloat16 in memory. */
export function hasBfloat16(): boolean {
  return fastKernel("TorchPrecision") !== undefined;
}
