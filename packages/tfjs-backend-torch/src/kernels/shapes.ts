import {
  type BatchToSpaceNDAttrs,
  backend_util,
  type ConcatAttrs,
  type DataType,
  type DepthToSpaceAttrs,
  type ExpandDimsAttrs,
  type FillAttrs,
  type LinSpaceAttrs,
  type MirrorPadAttrs,
  type PackAttrs,
  type PadV2Attrs,
  type RangeAttrs,
  type ReshapeAttrs,
  type ReverseAttrs,
  type SliceAttrs,
  type SpaceToBatchNDAttrs,
  type SplitVAttrs,
  type StridedSliceAttrs,
  slice_util,
  type TensorInfo,
  type TileAttrs,
  type TransposeAttrs,
  type UnpackAttrs,
  util,
} from "@tensorflow/tfjs-core";
import type { TorchBackend } from "../torchBackend.js";
import { type KernelTable, kernel, listOf, plain } from "./kernel.js";

function fill(backend: TorchBackend, shape: number[], value: number | string, dtype: DataType): TensorInfo {
  if (dtype === "string") {
    const bytes = util.encodeString(value as string);
    const values = new Array<Uint8Array>(util.sizeFromShape(shape)).fill(bytes);
    return { dataId: backend.write(values, shape, dtype), shape, dtype };
  }
  return backend.op("Fill", {}, { dtype, value: Number(value), shape });
}

/** ATen's order: last dimension first, before and after. */
const atenPaddings = (paddings: readonly (readonly number[])[]): number[] => [...paddings].reverse().flat();

function concat(backend: TorchBackend, inputs: TensorInfo[], axis: number): TensorInfo {
  const $axis = util.parseAxisParam(axis, inputs[0]!.shape)[0]!;
  backend_util.assertParamsConsistent(
    inputs.map(({ shape }) => shape),
    $axis,
  );
  // An empty tensor takes part in the shape only.
  const filled = inputs.filter(({ shape }) => util.sizeFromShape(shape) > 0);
  if (filled.length === 1) return backend.share(filled[0]!);
  return backend.op("Concat", { xs: filled.length === 0 ? inputs : filled }, { axis: $axis });
}

export const shapeKernels: KernelTable = {
  BatchToSpaceND: kernel<BatchToSpaceNDAttrs>((backend, { x }, { blockShape, crops }) => {
    const size = util.sizeFromShape(blockShape);
    const reshaped = backend_util.getReshaped(x!.shape, blockShape, size);
    const order = backend_util.getPermuted(reshaped.length, blockShape.length);
    const flat = backend_util.getReshapedPermuted(x!.shape, blockShape, size);
    const whole = backend.op("Rearrange", { x }, { before: reshaped, order, after: flat });
    const [begin, sliceSize] = slice_util.parseSliceParams(
      whole as never,
      backend_util.getSliceBeginCoords(crops, blockShape.length),
      backend_util.getSliceSize(flat, crops, blockShape.length),
    );
    const y = backend.op("Slice", { x: whole }, { begin: begin!, size: sliceSize! });
    backend.disposeData(whole.dataId);
    return y;
  }),
  Concat: kernel<ConcatAttrs>((backend, inputs, { axis }) => concat(backend, listOf(inputs), axis)),
  DepthToSpace: kernel<DepthToSpaceAttrs>((backend, { x }, { blockSize: n, dataFormat }) => {
    if (dataFormat !== "NHWC") {
      throw new Error(`Only NHWC dataFormat supported for depthToSpace. Got ${dataFormat}`);
    }
    const [batch, height, width, depth] = x!.shape as [number, number, number, number];
    const rest = depth / (n * n);
    const split = [batch, height, width, n, n, rest];
    const after = [batch, height * n, width * n, rest];
    return backend.op("Rearrange", { x }, { before: split, order: [0, 1, 3, 2, 4, 5], after });
  }),
  Diag: plain("Diag", "x"),
  ExpandDims: kernel<ExpandDimsAttrs>((backend, { input }, { dim }) => {
    const rank = input!.shape.length;
    util.assert(-(rank + 1) <= dim && dim <= rank, () => `Axis must be in the interval [${-(rank + 1)}, ${rank}]`);
    const shape = input!.shape.slice();
    shape.splice(dim < 0 ? rank + dim + 1 : dim, 0, 1);
    return backend.reshape(input!, shape);
  }),
  Fill: kernel<FillAttrs>((backend, _inputs, { shape, value, dtype }) =>
    fill(backend, shape, value, dtype ?? util.inferDtype(value)),
  ),
  FlipLeftRight: (backend, { image }) => backend.op("Reverse", { x: image }, { axes: [2] }),
  LinSpace: kernel<LinSpaceAttrs>((backend, _inputs, { start, stop, num }) => {
    const step = num > 1 ? (stop - start) / (num - 1) : 0;
    return backend.op("Range", {}, { start, step, count: num, dtype: "float32" });
  }),
  MirrorPad: kernel<MirrorPadAttrs>((backend, { x }, { paddings, mode }) =>
    backend.op("MirrorPad", { x }, { paddings: paddings.flat(), offset: mode === "reflect" ? 0 : 1 }),
  ),
  Pack: kernel<PackAttrs>((backend, inputs, { axis }) => {
    const tensors = listOf(inputs);
    const { shape, dtype } = tensors[0]!;
    for (const tensor of tensors) {
      util.assertShapesMatch(shape, tensor.shape, "All tensors passed to stack must have matching shapes");
      util.assert(dtype === tensor.dtype, () => "All tensors passed to stack must have matching dtypes");
    }
    return backend.op("Pack", { xs: tensors }, { axis });
  }),
  PadV2: kernel<PadV2Attrs>((backend, { x }, { paddings, constantValue }) =>
    backend.op("PadV2", { x }, { paddings: atenPaddings(paddings), constantValue }),
  ),
  Range: kernel<RangeAttrs>((backend, _inputs, { start, stop, step, dtype }) => {
    const unreachable = start === stop || (start < stop && step < 0) || (stop < start && step > 1);
    const $step = stop < start && step === 1 ? -1 : step;
    const count = unreachable ? 0 : Math.abs(Math.ceil((stop - start) / $step));
    return backend.op("Range", {}, { start, step: $step, count, dtype });
  }),
  Reshape: kernel<ReshapeAttrs>((backend, { x }, { shape }) => {
    const size = util.sizeFromShape(x!.shape);
    const $shape = util.inferFromImplicitShape(shape, size);
    util.assert(
      size === util.sizeFromShape($shape),
      () =>
        `The new shape (${$shape}) has ${util.sizeFromShape($shape)} elements and the old shape (${x!.shape}) has ` +
        `${size} elements. The new shape and old shape must have the same number of elements.`,
    );
    return backend.reshape(x!, $shape);
  }),
  Reverse: kernel<ReverseAttrs>((backend, { x }, { dims }) =>
    x!.shape.length === 0
      ? backend.share(x!)
      : backend.op("Reverse", { x }, { axes: util.parseAxisParam(dims, x!.shape) }),
  ),
  Slice: kernel<SliceAttrs>((backend, { x }, { begin, size }) => {
    const [$begin, $size] = slice_util.parseSliceParams(x as never, begin, size);
    slice_util.assertParamsValid(x as never, $begin!, $size!);
    return backend.op("Slice", { x }, { begin: $begin!, size: $size! });
  }),
  SpaceToBatchND: kernel<SpaceToBatchNDAttrs>((backend, { x }, { blockShape, paddings }) => {
    const size = util.sizeFromShape(blockShape);
    const all = x!.shape.map((_, d) => paddings[d - 1] ?? [0, 0]);
    const padded = backend.op("PadV2", { x }, { paddings: atenPaddings(all), constantValue: 0 });
    const reshaped = backend_util.getReshaped(padded.shape, blockShape, size, false);
    const order = backend_util.getPermuted(reshaped.length, blockShape.length, false);
    const flat = backend_util.getReshapedPermuted(padded.shape, blockShape, size, false);
    const y = backend.op("Rearrange", { x: padded }, { before: reshaped, order, after: flat });
    backend.disposeData(padded.dataId);
    return y;
  }),
  SplitV: kernel<SplitVAttrs>((backend, { x }, { numOrSizeSplits, axis }) => {
    const $axis = util.parseAxisParam(axis, x!.shape)[0]!;
    const sizes = backend_util.prepareSplitSize(x as never, numOrSizeSplits, $axis);
    return backend.ops("SplitV", { x }, { axis: $axis, sizes });
  }),
  StridedSlice: kernel<StridedSliceAttrs>((backend, { x }, attrs) => {
    const { beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
    const info = slice_util.sliceInfo(
      x!.shape,
      attrs.begin,
      attrs.end,
      attrs.strides,
      beginMask,
      endMask,
      ellipsisMask,
      newAxisMask,
      shrinkAxisMask,
    );
    if (info.isIdentity) return backend.reshape(x!, info.finalShape);
    const size = slice_util.computeOutShape(info.begin, info.end, info.strides);
    const { begin, strides, finalShape: shape } = info;
    return backend.op("StridedSlice", { x }, { begin, size, strides, shape });
  }),
  Tile: kernel<TileAttrs>((backend, { x }, { reps }) => backend.op("Tile", { x }, { reps })),
  Transpose: kernel<TransposeAttrs>((backend, { x }, { perm }) => backend.op("Transpose", { x }, { perm })),
  Unpack: kernel<UnpackAttrs>((backend, { value }, { axis }) =>
    backend.ops("Unpack", { value }, { axis: util.parseAxisParam(axis, value!.shape)[0]! }),
  ),
};
