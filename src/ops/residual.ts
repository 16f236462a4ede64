import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";
import type { Dtype } from "./precision.js";
import { type Dropout, dropout, dropoutAttributes } from "./random/noise.js";

/**
 * stream + y in the stream's dtype, whatever y's: the residual connection. Same shapes.
 *
 * @param drop entries of y that are dropped; undefined: none
 * @param dtype of y's gradient in memory where entries are dropped, on a backend that has it
 */
export function residual<T extends tf.Tensor>(stream: T, y: T, drop?: Dropout, dtype: Dtype = "float32"): T {
  const kernel = fastKernel("TorchResidual");
  if (!kernel) return tf.add(stream, drop ? dropout(y, drop.rate, drop.key) : y);
  const attrs = dropoutAttributes(drop);
  const step: tf.NamedTensorMap = drop ? { step: drop.key.step } : {};
  return fastOp(
    [stream, y],
    () => ({ value: kernel({ x: stream, y, ...step }, attrs)[0] as T, saved: Object.values(step) }),
    (dy, [at]) => [
      tf.clone(dy),
      drop ? dropout(dy, drop.rate, { ...drop.key, step: at as tf.Tensor1D }, dtype) : tf.clone(dy),
    ],
  );
}
