import type { CastAttrs, ClipByValueAttrs, LeakyReluAttrs, StepAttrs, TensorInfo } from "@tensorflow/tfjs-core";
import { type Kernel, type KernelTable, kernel, listOf, plain } from "./kernel.js";

const unary = [
  ...[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "ComplexAbs",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
  ],
  ...["Expm1", "Floor", "IsFinite", "IsInf", "IsNan", "Log", "Log1p", "LogicalNot", "Neg", "OnesLike", "Reciprocal"],
  ...["Relu", "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Sqrt", "Square", "Tan"],
  ...["Tanh", "ZerosLike"],
];

const binary = [
  ...["Add", "Atan2", "BitwiseAnd", "Equal", "FloorDiv", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd"],
  ...["LogicalOr", "LogicalXor", "Maximum", "Minimum", "Mod", "Multiply", "NotEqual", "Pow", "RealDiv"],
  ...["SquaredDifference", "Sub"],
];

const tables: Record<string, Kernel> = {};
for (const name of unary) tables[name] = plain(name, "x");
for (const name of binary) tables[name] = plain(name, "a", "b");

const identity: Kernel = (backend, { x }) => backend.share(x!);

export const elementwiseKernels: KernelTable = {
  ...tables,
  AddN: (backend, inputs) => {
    const terms = listOf(inputs);
    return terms.length === 1 ? backend.share(terms[0]!) : backend.op("AddN", { terms });
  },
  Cast: kernel<CastAttrs>((backend, { x }, { dtype }): TensorInfo => {
    if (x!.dtype === dtype) return backend.share(x!);
    return backend.op("Cast", { x }, { dtype });
  }),
  ClipByValue: kernel<ClipByValueAttrs>((backend, { x }, { clipValueMin, clipValueMax }) =>
    backend.op("ClipByValue", { x }, { clipValueMin, clipValueMax }),
  ),
  EluGrad: plain("EluGrad", "dy", "y"),
  Identity: identity,
  LeakyRelu: kernel<LeakyReluAttrs & { alpha: number }>((backend, { x }, { alpha }) =>
    backend.op("LeakyRelu", { x }, { alpha }),
  ),
  Prelu: plain("Prelu", "x", "alpha"),
  Select: plain("Select", "condition", "t", "e"),
  Step: kernel<StepAttrs>((backend, { x }, { alpha }) => backend.op("Step", { x }, { alpha })),

  Complex: plain("Complex", "real", "imag"),
  FFT: plain("FFT", "input"),
  IFFT: plain("IFFT", "input"),
  Imag: plain("Imag", "input"),
  Real: plain("Real", "input"),
};
