import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import { type KernelConfig, type TensorInfo, type UnsortedSegmentSumAttrs, util } from "@tensorflow/tfjs-core";

/** UnsortedSegmentSum, which the wasm backend lacks and TensorFlow.js's own gradient of gather needs. Negative ids are dropped. */
export const unsortedSegmentSumConfig: KernelConfig = {
  kernelName: "UnsortedSegmentSum",
  backendName: "wasm",
  kernelFunc: ({ inputs, attrs, backend }) => {
    const wasm = backend as BackendWasm;
    const x = inputs.x as TensorInfo;
    const segmentIds = inputs.segmentIds as TensorInfo;
    const { numSegments } = attrs as unknown as UnsortedSegmentSumAttrs;
    const rowShape = x.shape.slice(segmentIds.shape.length);
    const width = util.sizeFromShape(rowShape);
    const out = wasm.makeOutput([numSegments, ...rowShape], x.dtype);
    const sums = wasm.typedArrayFromHeap(out).fill(0);
    const values = wasm.typedArrayFromHeap(x);
    wasm.typedArrayFromHeap(segmentIds).forEach((segment, row) => {
      if (segment < 0) return;
      for (let i = 0; i < width; i++) sums[segment * width + i] += values[row * width + i];
    });
    return out;
  },
};
