// Kernels that run in JavaScript on copies of their inputs, as in TensorFlow.js's WebGL backend: strings, which libtorch does not
// have, and index bookkeeping whose output's shape depends on its values.
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import {
  type DataType,
  getKernel,
  type NamedAttrMap,
  type NamedTensorInfoMap,
  type TensorInfo,
} from "@tensorflow/tfjs-core";
import type { TorchBackend } from "../torchBackend.js";
import type { Kernel, KernelTable } from "./kernel.js";

/** Always on the host. */
export const hostKernelNames = [
  ...[
    "BroadcastArgs",
    "CropAndResize",
    "Dilation2D",
    "Dilation2DBackpropFilter",
    "Dilation2DBackpropInput",
    "Multinomial",
  ],
  ...["NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5", "RaggedGather", "RaggedRange"],
  ...["RaggedTensorToTensor", "RotateWithOffset", "SparseFillEmptyRows", "SparseReshape", "SparseSegmentMean"],
  ...["SparseSegmentSum", "StaticRegexReplace", "StringNGrams", "StringSplit", "StringToHashBucketFast", "Transform"],
  ...["Unique"],
];

/** On the host where an input holds strings. */
const stringKernelNames = [
  ...["Concat", "Equal", "GatherNd", "GatherV2", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "Pack"],
  ...[
    "PadV2",
    "Reverse",
    "ScatterNd",
    "Slice",
    "SparseToDense",
    "SplitV",
    "StridedSlice",
    "TensorScatterUpdate",
    "Tile",
    "Transpose",
    "Unpack",
  ],
];

let host: MathBackendCPU | null = null;

function hostBackend(): MathBackendCPU {
  if (host === null) {
    host = new MathBackendCPU();
    // Its first use advises to install another backend.
    (host as unknown as { firstUse: boolean }).firstUse = false;
  }
  return host;
}

type Inputs = Record<string, TensorInfo | TensorInfo[]>;

/** Runs TensorFlow.js's own JavaScript kernel on copies of the inputs and takes its results back. */
function onHost(name: string): Kernel {
  return (backend, inputs, attrs) => {
    const config = getKernel(name, "cpu");
    if (config === undefined) throw new Error(`${name} is in no TensorFlow.js version that the torch backend knows`);
    const cpu = hostBackend();
    const temporaries: TensorInfo[] = [];
    const keep = (info: TensorInfo): TensorInfo => {
      temporaries.push(info);
      return info;
    };
    const copy = ({ dataId, shape, dtype }: TensorInfo): TensorInfo => {
      const info = { dataId: cpu.write(backend.readSync(dataId), shape, dtype), shape, dtype, rank: shape.length };
      return keep(info); // some of them read a Tensor's rank, which TensorInfo does not promise
    };
    const copies: Inputs = {};
    for (const [key, input] of Object.entries(inputs as Inputs)) {
      copies[key] = Array.isArray(input) ? input.map(copy) : copy(input);
    }
    const list = Array.isArray(inputs) ? Object.values(copies) : copies;
    try {
      const results = config.kernelFunc({
        inputs: list as NamedTensorInfoMap,
        attrs: attrs as NamedAttrMap,
        backend: cpu,
      });
      const take = (info: TensorInfo): TensorInfo => takeBack(backend, cpu, keep(info));
      return Array.isArray(results) ? results.map(take) : take(results);
    } finally {
      for (const { dataId } of temporaries) cpu.disposeData(dataId);
    }
  };
}

function takeBack(backend: TorchBackend, cpu: MathBackendCPU, { dataId, shape, dtype }: TensorInfo): TensorInfo {
  return { dataId: backend.write(cpu.readSync(dataId), shape, dtype as DataType), shape, dtype };
}

export const hostKernels: KernelTable = Object.fromEntries(hostKernelNames.map((name) => [name, onHost(name)]));

/** The tables' kernels, with those that TensorFlow.js has for strings sent to the host when they get strings. */
export function withStrings(kernels: KernelTable): KernelTable {
  const table: Record<string, Kernel> = { ...kernels };
  for (const name of stringKernelNames) {
    const native = kernels[name]!;
    const strings = onHost(name);
    table[name] = (backend, inputs, attrs) => {
      for (const key in inputs) {
        if (inputs[key]!.dtype === "string") return strings(backend, inputs, attrs);
      }
      return native(backend, inputs, attrs);
    };
  }
  return table;
}
