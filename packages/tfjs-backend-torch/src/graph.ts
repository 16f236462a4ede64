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

/**
 * Runs `work` and records what it does: on CUDA as a graph, on the CPU as a list of calls, which run again without JavaScript between them.
 * Kernels must have run before with these shapes. What `work` uploads becomes a constant; it must read nothing back, and what it makes must
 * come out the same whatever the inputs' values. Tensors that it changes it changes in place.
 *
 * @throws Error where something in it cannot be recorded; on CUDA nothing has been computed then
 */
export function record(work: () => void): RecordedWork {
  const { device } = activeTorch();
  const addon = nativeAddon();
  const onCuda = device >= 0;
  if (onCuda) addon.graphBegin(device);
  else addon.programBegin();
  try {
    work();
  } catch (error) {
    if (onCuda) addon.graphAbort();
    else addon.programAbort();
    throw error;
  }
  if (!onCuda) {
    const program = addon.programEnd();
    return { replay: () => addon.programRun(program), dispose: () => addon.programRelease(program) };
  }
  const graph = addon.graphEnd();
  addon.graphReplay(graph);
  return { replay: () => addon.graphReplay(graph), dispose: () => addon.graphRelease(graph) };
}

/** Gives a tensor new values where the old ones lie, so that recorded work reads them. Of the tensor's dtype and size. */
export function overwrite(x: Tensor, values: Float32Array | Int32Array): void {
  activeTorch().overwrite(x.dataId, values);
}
