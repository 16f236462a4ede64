import {
  type _FusedMatMulAttrs,
  type BatchMatMulAttrs,
  backend_util,
  type EinsumAttrs,
  type TensorInfo,
} from "@tensorflow/tfjs-core";
import { activationCode } from "./fused.js";
import { type KernelTable, kernel, listOf } from "./kernel.js";

export const matmulKernels: KernelTable = {
  BatchMatMul: kernel<BatchMatMulAttrs>((backend, { a, b }, { transposeA, transposeB }) =>
    backend.op("BatchMatMul", [a!, b!], [transposeA, transposeB]),
  ),
  _FusedMatMul: kernel<_FusedMatMulAttrs>((backend, inputs, attrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const operands = [a, b, bias, preluActivationWeights].filter((x): x is TensorInfo => x != null);
    const { transposeA, transposeB, activation, leakyreluAlpha } = attrs;
    return backend.op("_FusedMatMul", operands, [
      transposeA,
      transposeB,
      bias != null,
      activationCode(activation),
      leakyreluAlpha ?? 0,
    ]);
  }),
  Einsum: kernel<EinsumAttrs>((backend, inputs, { equation }) => {
    const operands = listOf(inputs);
    // Its own checks, for its own messages.
    const { allDims, idDims } = backend_util.decodeEinsumEquation(equation, operands.length);
    backend_util.checkEinsumDimSizes(allDims.length, idDims, operands as never);
    return backend.op("Einsum", operands, [equation]);
  }),
};
