import {
  backend_util,
  type GatherV2Attrs,
  gather_util,
  type OneHotAttrs,
  type ScatterNdAttrs,
  type SparseToDenseAttrs,
  type UnsortedSegmentSumAttrs,
  util,
} from "@tensorflow/tfjs-core";
import { type KernelTable, kernel } from "./kernel.js";

export const indexingKernels: KernelTable = {
  GatherNd: (backend, { params, indices }) => {
    const [shape] = gather_util.prepareAndValidate(params as never, indices as never);
    return backend.op("GatherNd", { params, indices }, { depth: indices!.shape.at(-1)!, shape });
  },
  GatherV2: kernel<GatherV2Attrs>((backend, { x, indices }, { axis, batchDims }) => {
    const $axis = util.parseAxisParam(axis, x!.shape)[0]!;
    const info = backend_util.segment_util.collectGatherOpShapeInfo(
      x as never,
      indices as never,
      $axis,
      batchDims ?? 0,
    );
    const flat = [info.batchSize, info.outerSize, info.dimSize, info.sliceSize];
    return backend.op("GatherV2", { x, indices }, { flat, shape: info.outputShape });
  }),
  OneHot: kernel<OneHotAttrs>((backend, { indices }, { depth, onValue, offValue, dtype }) =>
    backend.op("OneHot", { indices }, { depth, onValue, offValue, dtype }),
  ),
  ScatterNd: kernel<ScatterNdAttrs>((backend, { indices, updates }, { shape }) => {
    const { sliceRank } = backend_util.calculateShapes(updates as never, indices as never, shape);
    return backend.op("ScatterNd", { indices, updates }, { shape, depth: sliceRank });
  }),
  SparseToDense: kernel<SparseToDenseAttrs>((backend, inputs, { outputShape }) => {
    const { sparseIndices, sparseValues, defaultValue } = inputs;
    const { sliceRank } = backend_util.calculateShapes(sparseValues as never, sparseIndices as never, outputShape);
    return backend.op(
      "SparseToDense",
      { indices: sparseIndices, values: sparseValues, defaultValue },
      { shape: outputShape, depth: sliceRank },
    );
  }),
  TensorScatterUpdate: (backend, { tensor, indices, updates }) => {
    const { sliceRank } = backend_util.calculateShapes(updates as never, indices as never, tensor!.shape);
    return backend.op("TensorScatterUpdate", { tensor, indices, updates }, { shape: tensor!.shape, depth: sliceRank });
  },
  UnsortedSegmentSum: kernel<UnsortedSegmentSumAttrs>((backend, { x, segmentIds }, { numSegments }) =>
    backend.op("UnsortedSegmentSum", { x, segmentIds }, { numSegments }),
  ),
};
