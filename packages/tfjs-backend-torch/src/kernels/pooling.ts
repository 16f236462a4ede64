import { type AvgPoolAttrs, backend_util, type MaxPoolWithArgmaxAttrs, util } from "@tensorflow/tfjs-core";
import type { AttributeValues } from "../signature.js";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];

/** Attributes of pooling operations: native/aten/spatial.h. */
function geometry2D(image: number[], attrs: AvgPoolAttrs) {
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const info = backend_util.computePool2DInfo(image as Shape4, filterSize, strides, 1, pad, dimRoundingMode);
  return {
    strides: [info.strideHeight, info.strideWidth],
    dilations: [1, 1],
    before: [info.padInfo.top, info.padInfo.left],
    out: [info.outHeight, info.outWidth],
    channelsLast: true,
    kernel: [info.filterHeight, info.filterWidth],
  } satisfies AttributeValues;
}

interface Pool3DAttrs {
  filterSize: number | [number, number, number];
  strides: number | [number, number, number];
  pad: "valid" | "same" | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  dataFormat?: "NDHWC" | "NCDHW";
}

function geometry3D(image: number[], attrs: Pool3DAttrs) {
  const format = attrs.dataFormat ?? "NDHWC";
  const info = backend_util.computePool3DInfo(
    image as Shape5,
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
    format,
  );
  return {
    strides: [info.strideDepth, info.strideHeight, info.strideWidth],
    dilations: [1, 1, 1],
    before: [info.padInfo.front, info.padInfo.top, info.padInfo.left],
    out: [info.outDepth, info.outHeight, info.outWidth],
    channelsLast: format === "NDHWC",
    kernel: [info.filterDepth, info.filterHeight, info.filterWidth],
  } satisfies AttributeValues;
}

const pool2D = (op: string): Kernel =>
  kernel<AvgPoolAttrs>((backend, { x }, attrs) => {
    const geometry = geometry2D(x!.shape, attrs);
    const [, height, width] = x!.shape;
    const { out, kernel: window } = geometry;
    // TensorFlow.js takes a window of one for the identity whatever the stride, where the sizes agree.
    if (util.sizeFromShape(window) === 1 && out[0] === height && out[1] === width) return backend.share(x!);
    return backend.op(op, { x }, geometry);
  });

const pool2DGrad = (op: string): Kernel =>
  kernel<AvgPoolAttrs>((backend, { dy, input }, attrs) =>
    backend.op(op, { dy, input }, geometry2D(input!.shape, attrs)),
  );

const pool3D = (op: string): Kernel =>
  kernel<Pool3DAttrs>((backend, { x }, attrs) => backend.op(op, { x }, geometry3D(x!.shape, attrs)));

const pool3DGrad = (op: string): Kernel =>
  kernel<Pool3DAttrs>((backend, { dy, input }, attrs) =>
    backend.op(op, { dy, input }, geometry3D(input!.shape, attrs)),
  );

export const poolingKernels: KernelTable = {
  AvgPool: pool2D("AvgPool"),
  AvgPool3D: pool3D("AvgPool"),
  AvgPool3DGrad: pool3DGrad("AvgPoolGrad"),
  AvgPoolGrad: pool2DGrad("AvgPoolGrad"),
  MaxPool: pool2D("MaxPool"),
  MaxPool3D: pool3D("MaxPool"),
  MaxPool3DGrad: pool3DGrad("MaxPoolGrad"),
  MaxPoolGrad: pool2DGrad("MaxPoolGrad"),
  MaxPoolWithArgmax: kernel<MaxPoolWithArgmaxAttrs>((backend, { x }, attrs) =>
    backend.ops(
      "MaxPoolWithArgmax",
      { x },
      { ...geometry2D(x!.shape, attrs), includeBatchInIndex: attrs.includeBatchInIndex },
    ),
  ),
};
