import * as tf from "@tensorflow/tfjs-core";

/**
 * A float32 tensor's values, where they lie if the backend can show them there: to be read before the tensor changes, and not to be written. For what
 * reads whole models, whose copies would cost more than writing them to the disk.
 */
export async function storedValues(x: tf.Tensor): Promise<Float32Array> {
  if (!tf.getBackend().startsWith("torch")) return x.data<"float32">();
  const { viewValues } = await import("@mswitch/tfjs-backend-torch/values");
  return (viewValues(x) as Float32Array | undefined) ?? x.data<"float32">();
}
