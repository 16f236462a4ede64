import type * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "../fastPath.js";
import { linear } from "../linear.js";
import { type Dtype, precision } from "../precision.js";
import { jitter, jitterAttributes, type NoiseKey } from "../random/noise.js";

/** Noise that a tensor is multiplied by: uniform in [1 − amount, 1 + amount). */
export interface Jitter {
  amount: number;
  key: NoiseKey;
}

/**
 * (x ⊙ jitter)·Wᵀ without bias, in one operation where the arithmetic is float32. Then the gradient of x has x's dtype.
 *
 * @param x_ND [N, D]
 * @param weight_OD [O, D]
 * @returns [N, O]
 */
export function jitteredLinear(
  x_ND: tf.Tensor2D,
  weight_OD: tf.Tensor,
  noise: Jitter,
  dtype: Dtype = "float32",
): tf.Tensor2D {
  const forward = fastKernel("TorchJitteredLinear");
  const backward = fastKernel("TorchJitteredLinearGrad");
  if (!forward || !backward || dtype !== "float32") {
    const jittered_ND = jitter(x_ND, noise.amount, noise.key);
    return linear(precision(jittered_ND, dtype), precision(weight_OD, dtype));
  }
  return fastOp(
    [x_ND, weight_OD],
    () => {
      const { step } = noise.key;
      const [y, factors] = forward({ x: x_ND, weight: weight_OD, step }, jitterAttributes(noise.amount, noise.key));
      return { value: y as tf.Tensor2D, saved: [x_ND, weight_OD, factors] };
    },
    (dy, [x, weight, factors]) => backward({ dy, x, weight, factors }),
  );
}
