import * as tf from "@tensorflow/tfjs-core";
import { fastKernel, fastOp } from "./fastPath.js";
import { type Dtype, precision } from "./precision.js";

/**
 * T5's layer norm: x / sqrt(mean(x²) + ε) · weight; no mean is subtracted and there is no bias. Statistics are float32.
 *
 * @param x [..., D]
 * @param weight_D [D]
 * @param dtype of the result in memory, on a backend that has it
 */
export function rmsNorm<T extends tf.Tensor>(x: T, weight_D: tf.Tensor, epsilon: number, dtype: Dtype = "float32"): T {
  const norm = fastKernel("TorchRmsNorm");
  const gradient = fastKernel("TorchRmsNormGrad");
  if (!norm || !gradient) return precision(rmsNormReference(x, weight_D, epsilon), dtype);
  return fastOp(
    [x, weight_D],
    () => {
      const [y, inverse_N] = norm({ x, weight: weight_D }, { epsilon, precision: dtype });
      return { value: y as T, saved: [x, weight_D, inverse_N] };
    },
    (dy, [input, weight, inverse]) => gradient({ dy, x: input, weight, inverse }),
  );
}

/**
 * The norm of a residual stream, and the stream for whatever else takes it: its gradient and the norm's are then added up in one pass.
 * Arguments as `rmsNorm`'s.
 */
export function rmsNormOfStream<T extends tf.Tensor>(
  x: T,
  weight_D: tf.Tensor,
  epsilon: number,
  dtype: Dtype = "float32",
): { normal: T; stream: T } {
  const kernel = fastKernel(streamKernel);
  if (!kernel) return { normal: rmsNorm(x, weight_D, epsilon, dtype), stream: x };
  const [normal, stream, inverse] = kernel({ x, weight: weight_D }, { epsilon, precision: dtype });
  inverse.dispose();
  return { normal: normal as T, stream: stream as T };
}

const streamKernel = "TorchRmsNormStream";

// A kernel of several results has its gradient by TensorFlow.js's own registry; what was saved goes at once, as `fastOp` has it.
tf.registerGradient({
  kernelName: streamKernel,
  inputsToSave: ["x", "weight"],
  outputsToSave: [false, false, true],
  gradFunc: (dys, saved) => {
    const [dy, dx] = dys as tf.Tensor[];
    const [x, weight, inverse] = saved;
    const gradients = fastKernel("TorchRmsNormGrad")!({ dy, x, weight, inverse, dx });
    tf.dispose(saved);
    return { x: () => gradients[0], weight: () => gradients[1] };
  },
});

/** What `rmsNorm` is held to, in TensorFlow.js's operations. */
export function rmsNormReference<T extends tf.Tensor>(x: T, weight_D: tf.Tensor, epsilon: number): T {
  const width = x.shape[x.shape.length - 1];
  const op = tf.customGrad((input, weight, save) => {
    const x_ND = tf.reshape(input as tf.Tensor, [-1, width]);
    const inverse_N1 = tf.rsqrt(tf.add(tf.mean(tf.square(x_ND), 1, true), epsilon));
    const normal_ND = tf.mul(x_ND, inverse_N1);
    (save as tf.GradSaveFunc)([normal_ND, inverse_N1, weight as tf.Tensor]);
    return {
      value: tf.reshape(tf.mul(normal_ND, weight as tf.Tensor), x.shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [normal, inverse, scale] = saved;
        const dy_ND = tf.reshape(dy, [-1, width]);
        const dyNormal_ND = tf.mul(dy_ND, normal);
        const dNormal_ND = tf.mul(dy_ND, scale);
        // d/dx of x·(mean x² + ε)^−½: what is along x̂ is taken out, the rest is scaled.
        const along_N1 = tf.mean(tf.mul(dyNormal_ND, scale), 1, true);
        const dx_ND = tf.mul(inverse, tf.sub(dNormal_ND, tf.mul(normal, along_N1)));
        return [tf.reshape(dx_ND, x.shape), tf.sum(dyNormal_ND, 0)];
      },
    };
  });
  return op(x, weight_D) as T;
}
