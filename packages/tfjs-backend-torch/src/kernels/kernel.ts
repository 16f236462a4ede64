import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { TorchBackend } from "../torchBackend.js";

/** The body of a TensorFlow.js kernel on this backend. Inputs and attributes are those of tfjs-core's kernel_names. */
export type Kernel = (
  backend: TorchBackend,
  inputs: Record<string, TensorInfo>,
  attrs: unknown,
) => TensorInfo | TensorInfo[];

/** Kernels by TensorFlow.js's name. */
export type KernelTable = Readonly<Record<string, Kernel>>;

/** A kernel with typed attributes: `kernel<SumAttrs>((backend, { x }, { axis }) => ...)`. */
export function kernel<Attrs>(
  run: (backend: TorchBackend, inputs: Record<string, TensorInfo>, attrs: Attrs) => TensorInfo | TensorInfo[],
): Kernel {
  return run as Kernel;
}

/** A kernel that hands the named inputs to the addon's operation of the same name, without attributes. */
export function plain(op: string, ...names: string[]): Kernel {
  return (backend, inputs) => backend.op(op, Object.fromEntries(names.map((name) => [name, inputs[name]])));
}

/** Inputs of kernels over a list of tensors. */
export function listOf(inputs: Record<string, TensorInfo>): TensorInfo[] {
  return Array.isArray(inputs) ? (inputs as TensorInfo[]) : Object.values(inputs);
}
