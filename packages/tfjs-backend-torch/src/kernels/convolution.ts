import { backend_util, type FusedConv2DAttrs, type TensorInfo } from "@tensorflow/tfjs-core";
import type { Param } from "../native.js";
import { activationCode } from "./fused.js";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];

interface ConvolutionAttrs extends Omit<FusedConv2DAttrs, "dimRoundingMode"> {
  dimRoundingMode?: FusedConv2DAttrs["dimRoundingMode"];
  filterShape: number[];
  inputShape: number[];
}

/** The parameters that native/spatial.h and the convolutions read, from tfjs-core's own geometry. */
function parameters2D(image: number[], filter: number[], attrs: ConvolutionAttrs, depthwise: boolean): Param[] {
  const dilations = attrs.dilations ?? 1;
  if (depthwise && !backend_util.eitherStridesOrDilationsAreOne(attrs.strides, dilations)) {
    throw new Error(
      `Error in depthwiseConv2d: Either strides or dilations must be 1. Got strides ${attrs.strides} and dilations '${dilations}'`,
    );
  }
  const format = depthwise ? "channelsLast" : backend_util.convertConv2DDataFormat(attrs.dataFormat ?? "NHWC");
  const info = backend_util.computeConv2DInfo(
    image as Shape4,
    filter as Shape4,
    attrs.strides,
    dilations,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
    format,
  );
  return [
    [info.strideHeight, info.strideWidth],
    [info.dilationHeight, info.dilationWidth],
    [info.padInfo.top, info.padInfo.left],
    [info.outHeight, info.outWidth],
    format === "channelsLast",
    depthwise,
  ];
}

interface Convolution3DAttrs {
  strides: number | [number, number, number];
  dilations?: number | [number, number, number];
  pad: "valid" | "same";
  filterShape: number[];
  inputShape: number[];
}

function parameters3D(image: number[], filter: number[], attrs: Convolution3DAttrs): Param[] {
  const info = backend_util.computeConv3DInfo(
    image as Shape5,
    filter as Shape5,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
  );
  return [
    [info.strideDepth, info.strideHeight, info.strideWidth],
    [info.dilationDepth, info.dilationHeight, info.dilationWidth],
    [info.padInfo.front, info.padInfo.top, info.padInfo.left],
    [info.outDepth, info.outHeight, info.outWidth],
    true,
    false,
  ];
}

function convolution(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { x, filter }, attrs) =>
    backend.op("Conv", [x!, filter!], parameters2D(x!.shape, filter!.shape, attrs, depthwise)),
  );
}

function gradOfFilter(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { x, dy }, attrs) => {
    const parameters = parameters2D(x!.shape, attrs.filterShape, attrs, depthwise);
    return backend.op("ConvBackpropFilter", [x!, dy!], [...parameters, attrs.filterShape]);
  });
}

function gradOfInput(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { dy, filter }, attrs) => {
    const parameters = parameters2D(attrs.inputShape, filter!.shape, attrs, depthwise);
    return backend.op("ConvBackpropInput", [dy!, filter!], [...parameters, attrs.inputShape]);
  });
}

function fused(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, inputs, attrs) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    const operands = [x, filter, bias, preluActivationWeights].filter((t): t is TensorInfo => t != null);
    return backend.op("FusedConv", operands, [
      ...parameters2D(x!.shape, filter!.shape, attrs, depthwise),
      bias != null,
      activationCode(attrs.activation),
      attrs.leakyreluAlpha ?? 0,
    ]);
  });
}

export const convolutionKernels: KernelTable = {
  Conv2D: convolution(false),
  Conv2DBackpropFilter: gradOfFilter(false),
  Conv2DBackpropInput: gradOfInput(false),
  Conv3D: kernel<Convolution3DAttrs>((backend, { x, filter }, attrs) =>
    backend.op("Conv", [x!, filter!], parameters3D(x!.shape, filter!.shape, attrs)),
  ),
  Conv3DBackpropFilterV2: kernel<Convolution3DAttrs>((backend, { x, dy }, attrs) => {
    const parameters = parameters3D(x!.shape, attrs.filterShape, attrs);
    return backend.op("ConvBackpropFilter", [x!, dy!], [...parameters, attrs.filterShape]);
  }),
  Conv3DBackpropInputV2: kernel<Convolution3DAttrs>((backend, { dy, filter }, attrs) => {
    const parameters = parameters3D(attrs.inputShape, filter!.shape, attrs);
    return backend.op("ConvBackpropInput", [dy!, filter!], [...parameters, attrs.inputShape]);
  }),
  DepthwiseConv2dNative: convolution(true),
  DepthwiseConv2dNativeBackpropFilter: gradOfFilter(true),
  DepthwiseConv2dNativeBackpropInput: gradOfInput(true),
  FusedConv2D: fused(false),
  FusedDepthwiseConv2D: fused(true),
};
