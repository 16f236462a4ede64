import * as tf from "@tensorflow/tfjs-core";

/** The plain JavaScript backend: always there, and slow. */
export async function loadCpu(): Promise<string> {
  const { version_cpu } = await import("@tensorflow/tfjs-backend-cpu");
  await tf.setBackend("cpu");
  return `@tensorflow/tfjs-backend-cpu ${version_cpu}: plain JavaScript, one thread, slow`;
}
