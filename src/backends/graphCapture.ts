import * as tf from "@tensorflow/tfjs-core";

/** Work that was recorded and runs again as a whole, on the tensors it was recorded with. */
export interface CapturedGraph {
  replay(): void;
  dispose(): void;
}

/** What a backend offers that can record a training step: torch, on CUDA as a CUDA graph, on the CPU as a list of calls. */
export interface GraphCapture {
  /** Whether `record` runs the work while it records it: then what fails late has been done in part. */
  runsWhileRecording: boolean;
  /** Runs `work` and records what it does. Throws where something in it cannot be recorded. */
  record(work: () => void): CapturedGraph;
  /** New values where the old ones lie: how recorded work is given its inputs. */
  overwrite(x: tf.Tensor, values: Float32Array | Int32Array): void;
}

/** The active backend's recorder; undefined where it has none. */
export async function findGraphCapture(): Promise<GraphCapture | undefined> {
  if (!tf.getBackend().startsWith("torch")) return undefined;
  const { canRecord, record, overwrite, runsWhileRecording } = await import("@mswitch/tfjs-backend-torch/graph");
  return canRecord() ? { record, overwrite, runsWhileRecording: runsWhileRecording() } : undefined;
}
