import { engine, type Tensor } from "@tensorflow/tfjs-core";
import { TorchBackend } from "./torchBackend.js";

/**
 * A tensor's values where they lie, without a copy: to be read before the tensor changes, and not to be written. Memory that is touched for the first time
 * costs more than reading it: several seconds a GB of fresh copies on a virtual machine.
 *
 * @returns undefined where the values are not float32 or int32 in order in the CPU's memory, or the tensor is not torch's: then `x.data()`
 */
export function viewValues(x: Tensor): Float32Array | Int32Array | undefined {
  const { backend } = engine();
  return backend instanceof TorchBackend ? backend.view(x.dataId) : undefined;
}
