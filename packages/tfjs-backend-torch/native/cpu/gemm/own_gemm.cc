#include "cpu/gemm/own_gemm.h"

#include "cpu/gemm/choice.h"
#include "cpu/gemm/fp16/fp16_gemm.h"
#include "cpu/gemm/packed/packed_gemm.h"

namespace tfjs_torch {
namespace {

template <typename T>
Lines<T> linesOf(const at::Tensor& x) {
  const bool byRow = x.stride(1) == 1;
  return {x.const_data_ptr<T>(), x.size(0), x.size(1), x.stride(byRow ? 0 : 1), byRow};
}

packed::Operand operandOf(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return linesOf<float>(x);
  return linesOf<at::BFloat16>(x);
}

}  // namespace

void fp16Gemm(const Bfloat16Lines& a, Bfloat16Panels& aPanels, const Bfloat16Lines& b, Bfloat16Panels& bPanels, Columns which,
              const Bfloat16Result& out) {
  half::multiply(a, aPanels, b, bPanels, which, out);
}

void ownGemm(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add, const ResultSquares* squares) {
  const auto isMatrix = [](const at::Tensor& x) {
    return x.dim() == 2 && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat);
  };
  TORCH_CHECK(
      isMatrix(a) && isMatrix(b) && a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1) && out.stride(1) == 1,
      "out [m, n] of a [m, k] and b [k, n] expected");
  const auto withLines = [](const at::Tensor& x) { return x.stride(1) == 1 || x.stride(0) == 1 ? x : x.contiguous(); };
  const at::Tensor first = withLines(a), second = withLines(b);
  const Bfloat16Result whole{out.mutable_data_ptr(), out.stride(0), out.scalar_type() == at::kFloat, add};
  if (a.scalar_type() == at::kFloat) return packedKernels<float>()->multiply(operandOf(first), operandOf(second), whole, squares);
  if (const auto* kernels = packedKernels<at::BFloat16>()) return kernels->multiply(operandOf(first), operandOf(second), whole, squares);
  half::multiply(linesOf<at::BFloat16>(first.to(at::kBFloat16)), linesOf<at::BFloat16>(second.to(at::kBFloat16)), whole);
}

}  // namespace tfjs_torch
