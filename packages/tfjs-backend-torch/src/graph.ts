import { engine, type Tensor } from "@tensorflow/tfjs-core";
import { nativeAddon } from "./native.js";
import { TorchBackend } from "./torchBackend.js";

/** Work that was recorded once and runs again as a whole, on the tensors it was recorded with. */
export interface RecordedWork {
  /** Starts it; on CUDA does not wait for it. Results are in the tensors that the recording made and kept. */
  replay(): void;
  /** On CUDA the tensors that the recording made must not be read after this. */
  dispose(): void;
}

function activeTorch(): TorchBackend {
  const { backend } = engine();
  if (!(backend instanceof TorchBackend)) throw new Error("the active backend is not torch");
  return backend;
}

/** Whether the active backend can record work: torch on the CPU, and on CUDA where it was built with CUDA's own compiler. */
export function canRecord(): boolean {
  const { backend } = engine();
  return backend instanceof TorchBackend && (backend.device < 0 || nativeAddon().info().graphs);
}

/** Whether `record` runs the work while it records it, as on the CPU, and not when all is recorded, as on CUDA. */
export function runsWhileRecording(): boolean {
  return activeTorch().device < 0;
}

/**
 * Runs `work` and records what it does: on CUDA as a graph, on the CPU as a list of calls, which run again without JavaScript between them.
 * Kernels must have run before with these shapes. What `work` uploads becomes a constant; it must read nothing back, and what it makes must
 * come out the same whatever the inputs' values. Tensors that it changes it changes in place.
 *
 * @throws Error where something in it cannot be recorded; on CUDA nothing has been computed then
 */
export function record(work: () => void): RecordedWork {
  return runsWhileRecording() ? recordCalls(work) : recordGraph(work);
}

function recordCalls(work: () => void): RecordedWork {
  const addon = nativeAddon();
  addon.programBegin();
  try {
    work();
  } catch (error) {
    addon.programAbort();
    throw error;
  }
  const program = addon.programEnd();
  return { replay: () => addon.programRun(program), dispose: () => addon.programRelease(program) };
}

function recordGraph(work: () => void): RecordedWork {
  const addon = nativeAddon();
  addon.graphBegin(activeTorch().device);
  try {
    work();
  } catch (error) {
    addon.graphAbort();
    throw error;
  }
  const graph = addon.graphEnd();
  const replay = (): void => addon.graphReplay(graph);
  replay();
  return { replay, dispose: () => addon.graphRelease(graph) };
}

/** Gives a tensor new values where the old ones lie, so that recorded work reads them. Of the tensor's dtype and size. */
export function overwrite(x: Tensor, values: Float32Array | Int32Array): void {
  activeTorch().overwrite(x.dataId, values);
}
