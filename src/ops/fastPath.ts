import * as tf from "@tensorflow/tfjs-core";

/** A kernel of the active backend: inputs by name, attributes, one or several results. No gradient is recorded for it. */
export type FastKernel = (inputs: tf.NamedTensorMap, attrs?: object) => tf.Tensor[];

/**
 * The kernel of this name on the active backend; undefined where the backend has none, and the operation takes its reference.
 * Fast kernels are not TensorFlow.js's own: `@mswitch/tfjs-backend-torch` registers them as `Torch…`.
 */
export function fastKernel(name: string): FastKernel | undefined {
  if (!tf.getKernel(name, tf.getBackend())) return undefined;
  return (inputs, attrs = {}) => {
    const results: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(name, inputs, attrs as tf.NamedAttrMap);
    return Array.isArray(results) ? results : [results];
  };
}

/**
 * An operation with a gradient of its own. What `forward` saves is freed as soon as `gradient` has used it, not at the end of the
 * whole backward pass as TensorFlow.js does, so activations go as gradients come; there is no second derivative.
 *
 * @param inputs the tensors that have gradients
 * @param forward runs at once; `saved` may hold anything tensor, inputs too
 * @param gradient of the value's gradient and what was saved: one gradient per input, in its shape
 */
export function fastOp<T extends tf.Tensor>(
  inputs: tf.Tensor[],
  forward: () => { value: T; saved: tf.Tensor[] },
  gradient: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[],
): T {
  const op = tf.customGrad((...args) => {
    const { value, saved } = forward();
    (args[inputs.length] as unknown as tf.GradSaveFunc)(saved);
    return {
      value,
      gradFunc: (dy: tf.Tensor, kept: tf.Tensor[]) => {
        const gradients = gradient(dy, kept);
        tf.dispose(kept);
        return gradients;
      },
    };
  });
  return op(...inputs) as T;
}
