import type { FusedBatchNormAttrs, LRNAttrs, ResizeBilinearAttrs } from "@tensorflow/tfjs-core";
import type { AttributeValues } from "../signature.js";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

const resize = (op: string): Kernel =>
  kernel<ResizeBilinearAttrs>((backend, { images }, { size, alignCorners, halfPixelCenters }) =>
    backend.op(op, { images }, { size, alignCorners, halfPixelCenters }),
  );

const resizeGrad = (op: string): Kernel =>
  kernel<ResizeBilinearAttrs>((backend, { images, dy }, { alignCorners }) =>
    backend.op(op, { dy, images }, { alignCorners }),
  );

const lrn = ({ depthRadius, bias, alpha, beta }: LRNAttrs): AttributeValues => ({ depthRadius, bias, alpha, beta });

export const imageKernels: KernelTable = {
  FusedBatchNorm: kernel<FusedBatchNormAttrs>((backend, inputs, { varianceEpsilon }) => {
    const { x, mean, variance, offset, scale } = inputs;
    return backend.op(
      "FusedBatchNorm",
      { x, mean, variance, offset, scale },
      { varianceEpsilon: varianceEpsilon ?? 0.001 },
    );
  }),
  LRN: kernel<LRNAttrs>((backend, { x }, attrs) => backend.op("LRN", { x }, lrn(attrs))),
  LRNGrad: kernel<LRNAttrs>((backend, { x, y, dy }, attrs) => backend.op("LRNGrad", { x, y, dy }, lrn(attrs))),
  ResizeBilinear: resize("ResizeBilinear"),
  ResizeBilinearGrad: resizeGrad("ResizeBilinearGrad"),
  ResizeNearestNeighbor: resize("ResizeNearestNeighbor"),
  ResizeNearestNeighborGrad: resizeGrad("ResizeNearestNeighborGrad"),
};
