import type * as tf from "@tensorflow/tfjs-core";
import { fastOp } from "./fastPath.js";

/**
 * The same tensor, which tells of its gradient in the backward pass, when all that was computed from it has given its part. What is written into
 * the gradient's memory by then or later is what the gradient is.
 */
export function watchGradient<T extends tf.Tensor>(x: T, tell: (gradient: tf.Tensor) => void): T {
  return fastOp(
    [x],
    () => ({ value: x.clone() as T, saved: [] }),
    (dy) => {
      tell(dy);
      return [dy.clone()];
    },
  );
}
