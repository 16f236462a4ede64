import { backend_util, type FusedConv2DAttrs } from "@tensorflow/tfjs-core";
import type { AttributeValues } from "../signature.js";
import { activationOf } from "./fused.js";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];

interface ConvolutionAttrs extends Omit<FusedConv2DAttrs, "dimRoundingMode"> {
  dimRoundingMode?: FusedConv2DAttrs["dimRoundingMode"];
  filterShape: number[];
  inputShape: number[];
}

/** Attributes of convolutions (native/aten/spatial.h), from tfjs-core's own geometry. */
function geometry2D(image: number[], filter: number[], attrs: ConvolutionAttrs, depthwise: boolean): AttributeValues {
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
  return {
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    before: [info.padInfo.top, info.padInfo.left],
    out: [info.outHeight, info.outWidth],
    channelsLast: format === "channelsLast",
    depthwise,
  };
}

interface Convolution3DAttrs {
  strides: number | [number, number, number];
  dilations?: number | [number, number, number];
  pad: "valid" | "same";
  filterShape: number[];
  inputShape: number[];
}

function geometry3D(image: number[], filter: number[], attrs: Convolution3DAttrs): AttributeValues {
  const info = backend_util.computeConv3DInfo(
    image as Shape5,
    filter as Shape5,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
  );
  return {
    strides: [info.strideDepth, info.strideHeight, info.strideWidth],
    dilations: [info.dilationDepth, info.dilationHeight, info.dilationWidth],
    before: [info.padInfo.front, info.padInfo.top, info.padInfo.left],
    out: [info.outDepth, info.outHeight, info.outWidth],
    channelsLast: true,
    depthwise: false,
  };
}

function convolution(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { x, filter }, attrs) =>
    backend.op("Conv", { x, filter }, geometry2D(x!.shape, filter!.shape, attrs, depthwise)),
  );
}

function gradOfFilter(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { x, dy }, attrs) => {
    const { filterShape } = attrs;
    return backend.op(
      "ConvBackpropFilter",
      { x, dy },
      { ...geometry2D(x!.shape, filterShape, attrs, depthwise), filterShape },
    );
  });
}

function gradOfInput(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, { dy, filter }, attrs) => {
    const { inputShape } = attrs;
    return backend.op(
      "ConvBackpropInput",
      { dy, filter },
      { ...geometry2D(inputShape, filter!.shape, attrs, depthwise), inputShape },
    );
  });
}

function fused(depthwise: boolean): Kernel {
  return kernel<ConvolutionAttrs>((backend, inputs, attrs) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    return backend.op(
      "FusedConv",
      { x, filter, bias, preluActivationWeights },
      { ...geometry2D(x!.shape, filter!.shape, attrs, depthwise), ...activationOf(attrs) },
    );
  });
}

export const convolutionKernels: KernelTable = {
  Conv2D: convolution(false),
  Conv2DBackpropFilter: gradOfFilter(false),
  Conv2DBackpropInput: gradOfInput(false),
  Conv3D: kernel<Convolution3DAttrs>((backend, { x, filter }, attrs) =>
    backend.op("Conv", { x, filter }, geometry3D(x!.shape, filter!.shape, attrs)),
  ),
  Conv3DBackpropFilterV2: kernel<Convolution3DAttrs>((backend, { x, dy }, attrs) => {
    const { filterShape } = attrs;
    return backend.op("ConvBackpropFilter", { x, dy }, { ...geometry3D(x!.shape, filterShape, attrs), filterShape });
  }),
  Conv3DBackpropInputV2: kernel<Convolution3DAttrs>((backend, { dy, filter }, attrs) => {
    const { inputShape } = attrs;
    return backend.op(
      "ConvBackpropInput",
      { dy, filter },
      { ...geometry3D(inputShape, filter!.shape, attrs), inputShape },
    );
  }),
  DepthwiseConv2dNative: convolution(true),
  DepthwiseConv2dNativeBackpropFilter: gradOfFilter(true),
  DepthwiseConv2dNativeBackpropInput: gradOfInput(true),
  FusedConv2D: fused(false),
  FusedDepthwiseConv2D: fused(true),
};
