import { type KernelTable, kernel } from "./kernel.js";
import type { Precision } from "./precision.js";

/** RMSNorm over the last axis: `{x, weight}` → `[y, inverse]`, and its gradient `{dy, x, weight, inverse}` → `[dx, dweight]`. */
export const normKernels: KernelTable = {
  TorchRmsNorm: kernel<{ epsilon: number; precision: Precision }>((backend, { x, weight }, { epsilon, precision }) =>
    backend.ops("RmsNorm", [x!, weight!], [epsilon, precision === "bfloat16"]),
  ),
  TorchRmsNormGrad: (backend, { dy, x, weight, inverse }) => backend.ops("RmsNormGrad", [dy!, x!, weight!, inverse!]),
};
