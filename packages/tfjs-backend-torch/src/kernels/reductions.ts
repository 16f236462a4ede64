import {
  type BincountAttrs,
  type CumsumAttrs,
  type DenseBincountAttrs,
  type LogSoftmaxAttrs,
  type SearchSortedAttrs,
  type SoftmaxAttrs,
  type SumAttrs,
  type TopKAttrs,
  util,
} from "@tensorflow/tfjs-core";
import { type Kernel, type KernelTable, kernel } from "./kernel.js";

interface ReductionAttrs extends SumAttrs {
  /** Max's name for `axis`. */
  reductionIndices?: number | number[];
}

function reduction(op: string): Kernel {
  return kernel<ReductionAttrs>((backend, { x }, { axis, reductionIndices, keepDims }) => {
    const axes = util.parseAxisParam(reductionIndices ?? axis, x!.shape).sort((a, b) => a - b);
    return backend.op(op, { x }, { axes, keepDims: keepDims ?? false });
  });
}

function argExtremum(op: string): Kernel {
  return kernel<{ axis: number }>((backend, { x }, { axis }) =>
    backend.op(op, { x }, { axis: util.parseAxisParam(axis, x!.shape)[0]! }),
  );
}

function scan(op: string): Kernel {
  return kernel<CumsumAttrs>((backend, { x }, { axis, exclusive, reverse }) =>
    backend.op(op, { x }, { axis: util.parseAxisParam(axis, x!.shape)[0]!, exclusive, reverse }),
  );
}

const bincount = kernel<BincountAttrs & DenseBincountAttrs>((backend, { x, weights }, { size, binaryOutput }) =>
  backend.op("Bincount", { x, weights }, { size, binaryOutput: binaryOutput ?? false }),
);

export const reductionKernels: KernelTable = {
  All: reduction("All"),
  Any: reduction("Any"),
  ArgMax: argExtremum("ArgMax"),
  ArgMin: argExtremum("ArgMin"),
  Bincount: bincount,
  Cumprod: scan("Cumprod"),
  Cumsum: scan("Cumsum"),
  DenseBincount: bincount,
  LogSoftmax: kernel<LogSoftmaxAttrs>((backend, { logits }, { axis }) =>
    backend.op("LogSoftmax", { logits }, { axis }),
  ),
  Max: reduction("Max"),
  Mean: reduction("Mean"),
  Min: reduction("Min"),
  Prod: reduction("Prod"),
  SearchSorted: kernel<SearchSortedAttrs>((backend, { sortedSequence, values }, { side }) =>
    backend.op("SearchSorted", { sortedSequence, values }, { right: side === "right" }),
  ),
  Softmax: kernel<SoftmaxAttrs>((backend, { logits }, { dim }) => backend.op("Softmax", { logits }, { axis: dim })),
  Sum: reduction("Sum"),
  TopK: kernel<TopKAttrs>((backend, { x }, { k }) => backend.ops("TopK", { x }, { k })),
};
