import { type _FusedMatMulAttrs, type BatchMatMulAttrs, backend_util, type EinsumAttrs } from "@tensorflow/tfjs-core";
import { activationOf } from "./fused.js";
import { type KernelTable, kernel, listOf } from "./kernel.js";

export const matmulKernels: KernelTable = {
  BatchMatMul: kernel<BatchMatMulAttrs>((backend, { a, b }, { transposeA, transposeB }) =>
    backend.op("BatchMatMul", { a, b }, { transposeA, transposeB }),
  ),
  _FusedMatMul: kernel<_FusedMatMulAttrs>((backend, inputs, attrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const { transposeA, transposeB } = attrs;
    return backend.op(
      "_FusedMatMul",
      { a, b, bias, preluActivationWeights },
      { transposeA, transposeB, ...activationOf(attrs) },
    );
  }),
  Einsum: kernel<EinsumAttrs>((backend, inputs, { equation }) => {
    const operands = listOf(inputs);
    // Its own checks, for its own messages.
    const { allDims, idDims } = backend_util.decodeEinsumEquation(equation, operands.length);
    backend_util.checkEinsumDimSizes(allDims.length, idDims, operands as never);
    return backend.op("Einsum", { operands }, { equation });
  }),
};
