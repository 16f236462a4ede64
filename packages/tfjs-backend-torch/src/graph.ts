import { engine, type Tensor } from "@tensorflow/tfjs-core";
import { nativeAddon } from "./native.js";
import { TorchBackend } from "./torchBackend.js";

/** Work of a CUDA device that was recorded once and runs again as a whole, on the tensors it was recorded with. */
export interface RecordedWork {
  /** Starts it; does not wait for it. Results are in the tensors that the recording made and kept. */
  replay(): void;
  /** The tensors that the recording made must not be read after this. */
  dispose(): void;
}

function activeTorch(): TorchBackend {
  const { backend } = engine();
  if (!(backend instanceof TorchBackend)) throw new Error("the active backend is not torch");
  return backend;
}

/** Whether the active backend can record work: torch on CUDA, built with CUDA's own compiler. */
export function canRecord(): boolean {
  const { backend } = engine();
  return backend instanceof TorchBackend && backend.device >= 0 && nativeAddon().info().graphs;
}

/**
 * Records what `work` does on the device as a CUDA graph, without running it. Kernels must have run before with these shapes. What
 * `work` uploads becomes a constant; it must read nothing back, and what it makes must come out the same whatever the inputs' values.
 *
 * @throws Error where something in it cannot be recorded; nothing has been computed then
 */
export function record(work: () => void): RecordedWork {
  const { device } = activeTorch();
  const addon = nativeAddon();
  addon.graphBegin(device);
  try {
    work();
  } catch (error) {
    addon.graphAbort();
    throw error;
  }
  const graph = addon.graphEnd();
  return { replay: () => addon.graphReplay(graph), dispose: () => addon.graphRelease(graph) };
}

/** Gives a tensor new values where the old ones lie, so that recorded work reads them. Of the tensor's dtype and size. */
export function overwrite(x: Tensor, values: Float32Array | Int32Array): void {
  activeTorch().overwrite(x.dataId, values);
}
