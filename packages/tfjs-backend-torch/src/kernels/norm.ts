import { type KernelTable, kernel } from "./kernel.js";
import type { Precision } from "./precision.js";

/**
 * RMSNorm over the last axis: `{x, weight}` → `[y, inverse]`, and its gradient `{dy, x, weight, inverse, dx?}` → `[dx, dweight]`, where a
 * gradient that x has already is added to. `TorchRmsNormStream` also hands x on, which then has one gradient: `{x, weight}` → `[y, x, inverse]`.
 */
export const normKernels: KernelTable = {
  TorchRmsNorm: kernel<{ epsilon: number; precision: Precision }>((backend, { x, weight }, { epsilon, precision }) =>
    backend.ops("RmsNorm", [x!, weight!], [epsilon, precision === "bfloat16"]),
  ),
  TorchRmsNormStream: kernel<{ epsilon: number; precision: Precision }>(
    (backend, { x, weight }, { epsilon, precision }) => {
      const [y, inverse] = backend.ops("RmsNorm", [x!, weight!], [epsilon, precision === "bfloat16"]);
      return [y!, backend.reshape(x!, x!.shape), inverse!];
    },
  ),
  TorchRmsNormGrad: (backend, { dy, x, weight, inverse, dx }) =>
    backend.ops("RmsNormGrad", [dy!, x!, weight!, inverse!, ...(dx ? [dx] : [])]),
};
