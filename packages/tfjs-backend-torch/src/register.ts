// Importing this module registers the backends `torch`, `torch:cpu`, `torch:cuda` and `torch:cuda:0` to `torch:cuda:7` with
// TensorFlow.js. libtorch is loaded when one of them is first used.
import { existsSync } from "node:fs";
import {
  engine,
  type KernelConfig,
  registerBackend,
  registerGradient,
  registerKernel,
  type Tensor,
} from "@tensorflow/tfjs-core";
import { type GemmMeasurement, gemmFile, storedGemm } from "./chooseGemm.js";
import { allKernels } from "./kernels/all.js";
import { type PrecisionAttrs, precisionKernelName } from "./kernels/precision.js";
import { type AddonInfo, addonPath, type GemmChoice, nativeAddon } from "./native.js";
import { TorchBackend } from "./torchBackend.js";

// Above webgpu's and tfjs-node's 3.
const priority = 4;
const cudaNames = ["torch:cuda", ...Array.from({ length: 8 }, (_, i) => `torch:cuda:${i}`)];

/** CUDA device number of a backend's name, -1 for the CPU. Throws where the device does not exist. */
function deviceOf(name: string): number {
  const { cudaDevices, cudaBuild } = nativeAddon().info();
  if (name === "torch") return cudaDevices > 0 ? 0 : -1;
  if (name === "torch:cpu") return -1;
  const device = Number(name.slice("torch:cuda:".length));
  if (device < cudaDevices) return device;
  const why = cudaBuild ? `there are ${cudaDevices} CUDA devices` : "this libtorch was built for the CPU only";
  throw new Error(`${name}: ${why}`);
}

function registerDevice(name: string, itsPriority: number): void {
  for (const [kernelName, run] of Object.entries(allKernels)) {
    const kernelFunc = ({ inputs, backend, attrs }: { inputs: unknown; backend: unknown; attrs?: unknown }) =>
      run(backend as TorchBackend, inputs as never, attrs);
    registerKernel({ kernelName, backendName: name, kernelFunc } as KernelConfig);
  }
  registerBackend(name, () => new TorchBackend(deviceOf(name)), itsPriority);
}

registerDevice("torch", priority);
for (const name of ["torch:cpu", ...cudaNames]) registerDevice(name, 0);

// The gradient goes through as it comes, in bfloat16 or float32 memory.
registerGradient({
  kernelName: precisionKernelName,
  gradFunc: (dy) => ({ x: () => dy as Tensor }),
});

/** What `findTorchAddon` reports. */
export type TorchStatus = { available: true; info: AddonInfo } | { available: false; reason: string };

/** Whether the addon is built and loads here, and what it found. Never throws; loads libtorch when it is there. */
export function torchStatus(): TorchStatus {
  if (!existsSync(addonPath())) {
    return { available: false, reason: "its addon is not built" };
  }
  try {
    return { available: true, info: nativeAddon().info() };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Threads that one operation may use on the CPU, for this JavaScript thread. libtorch's default is one a core. */
export function setTorchThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1) throw new Error(`threads must be a positive integer, got ${threads}`);
  nativeAddon().setThreads(threads);
}

/**
 * Has fused operations computed by ATen's operations alone instead of kernels, on whatever device: the reference that the kernels are
 * held to. As the variable `TFJS_TORCH_KERNELS=aten` does, for this process from now on. Gives what was before.
 */
export function useAtenReference(on: boolean): boolean {
  return nativeAddon().useAten(on);
}

/** The kernels that can multiply matrices on this CPU, by type, and those in use. */
export function gemmKernels(): { available: Record<keyof GemmChoice, string[]>; chosen: GemmChoice } {
  const { gemm, gemmAvailable } = nativeAddon().info();
  return { available: gemmAvailable, chosen: gemm };
}

/** What was measured of them on this machine for this build, if it could be kept. */
export function gemmMeasurement(): GemmMeasurement | undefined {
  return storedGemm(gemmFile(nativeAddon().info().torchVersion, addonPath()));
}

/** Takes other kernels for matrices of a type, for this process, unless `TFJS_TORCH_GEMM` names some. Throws where there are none of that name. */
export function setGemm(type: keyof GemmChoice, name: string): void {
  nativeAddon().setGemm(type, name);
}

/**
 * A float32 tensor in bfloat16 memory, or in float32 memory again; its dtype stays float32 and the gradient is dy itself.
 * On any other backend the tensor comes back as it is.
 */
export function precision<T extends Tensor>(x: T, dtype: PrecisionAttrs["precision"]): T {
  if (!engine().backendName.startsWith("torch")) return x.clone();
  return engine().runKernel(precisionKernelName, { x }, { precision: dtype }) as T;
}
