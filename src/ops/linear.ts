import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";

/**
 * x·Wᵀ without bias: T5 has none. Computed in x's dtype.
 *
 * @param x [..., D]
 * @param weight_OD [O, D], the layout of Transformers' checkpoints
 * @returns [..., O]
 */
export function linear<T extends tf.Tensor>(x: T, weight_OD: tf.Tensor): T {
  const forward = fastKernel("TorchLinear");
  const backward = fastKernel("TorchLinearGrad");
  if (!forward || !backward) return linearReference(x, weight_OD);
  return fastOp(
    [x, weight_OD],
    () => {
      const [y, weight] = forward({ x, weight: weight_OD });
      return { value: y as T, saved: [x, weight] };
    },
    (dy, [input, weight]) => backward({ dy, x: input, weight }),
  );
}

/** What `linear` is held to, in TensorFlow.js's operations. */
export function linearReference<T extends tf.Tensor>(x: T, weight_OD: tf.Tensor): T {
  const [outSize, inSize] = weight_OD.shape;
  const y_NO = tf.matMul(tf.reshape(x, [-1, inSize]), weight_OD, false, true);
  return tf.reshape(y_NO, [...x.shape.slice(0, -1), outSize]) as T;
}
