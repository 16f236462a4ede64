import * as tf from "@tensorflow/tfjs-core";
import { fastKernel } from "../ops/fastPath.js";

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
