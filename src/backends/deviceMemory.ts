import * as tf from "@tensorflow/tfjs-core";

/** An accelerator's memory in bytes: what tensors hold, the most that they held, what is kept for them, and all there is. */
export interface DeviceMemory {
  allocated: number;
  peak: number;
  reserved: number;
  total: number;
}

/** That of the device that the active backend is on; undefined where it computes on the CPU or does not say. */
export function deviceMemory(): DeviceMemory | undefined {
  if (!tf.getBackend()?.startsWith("torch")) return undefined;
  return (tf.memory() as tf.MemoryInfo & { device?: DeviceMemory }).device;
}
