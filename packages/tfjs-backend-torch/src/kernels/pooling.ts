import { type AvgPoolAttrs, backend_util, type MaxPoolWithArgmaxAttrs, util } from "@tensorflow/tfjs-core";
import type { Param } from "../native.js";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];

/** The parameters that native/spatial.h and the pooling operations read. */
function parameters2D(image: number[], attrs: AvgPoolAttrs): Param[] {
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const info = backend_util.computePool2DInfo(image as Shape4, filterSize, strides, 1, pad, dimRoundingMode);
  return [
    [info.strideHeight, info.strideWidth],
    [1, 1],
    [info.padInfo.top, info.padInfo.left],
    [info.outHeight, info.outWidth],
    true,
    [info.filterHeight, info.filterWidth],
  ];
}

interface Pool3DAttrs {
  filterSize: number | [number, number, number];
  strides: number | [number, number, number];
  pad: "valid" | "same" | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  dataFormat?: "NDHWC" | "NCDHW";
}

function parameters3D(image: number[], attrs: Pool3DAttrs): Param[] {
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
  return [
    [info.strideDepth, info.strideHeight, info.strideWidth],
    [1, 1, 1],
    [info.padInfo.front, info.padInfo.top, info.padInfo.left],
    [info.outDepth, info.outHeight, info.outWidth],
    format === "NDHWC",
    [info.filterDepth, info.filterHeight, info.filterWidth],
  ];
}

const pool2D = (op: string): Kernel =>
  kernel<AvgPoolAttrs>((backend, { x }, attrs) => {
    const parameters = parameters2D(x!.shape, attrs);
    const [, height, width] = x!.shape;
    const [, , , out, , window] = parameters as [unknown, unknown, unknown, number[], unknown, number[]];
    // TensorFlow.js takes a window of one for the identity whatever the stride, where the sizes agree.
    if (util.sizeFromShape(window) === 1 && out[0] === height && out[1] === width) return backend.share(x!);
    return backend.op(op, [x!], parameters);
  });

const pool2DGrad = (op: string): Kernel =>
  kernel<AvgPoolAttrs>((backend, { dy, input }, attrs) =>
    backend.op(op, [dy!, input!], parameters2D(input!.shape, attrs)),
  );

const pool3D = (op: string): Kernel =>
  kernel<Pool3DAttrs>((backend, { x }, attrs) => backend.op(op, [x!], parameters3D(x!.shape, attrs)));

const pool3DGrad = (op: string): Kernel =>
  kernel<Pool3DAttrs>((backend, { dy, input }, attrs) =>
    backend.op(op, [dy!, input!], parameters3D(input!.shape, attrs)),
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
    backend.ops("MaxPoolWithArgmax", [x!], [...parameters2D(x!.shape, attrs), attrs.includeBatchInIndex]),
  ),
};
