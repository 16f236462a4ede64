#include "cpu/gemm/bf16_gemm.h"

#include <cstdlib>
#include <string_view>

#include "cpu/cpu_features.h"
#include "cpu/gemm/amx/amx_gemm.h"
#include "cpu/gemm/fp16/fp16_gemm.h"

namespace tfjs_torch {
namespace {

template <typename T>
Lines<T> linesOf(const at::Tensor& x) {
  const bool byRow = x.stride(1) == 1;
  return {x.const_data_ptr<T>(), x.size(0), x.size(1), x.stride(byRow ? 0 : 1), byRow};
}

amx::Operand operandOf(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return linesOf<float>(x);
  return linesOf<at::BFloat16>(x);
}

}  // namespace

NarrowProducts narrowProducts() {
  static const NarrowProducts which = [] {
    const char* const setting = std::getenv("TFJS_TORCH_NARROW_PRODUCTS");
    const std::string_view wanted = setting == nullptr ? "" : setting;
    if (wanted == "library") return NarrowProducts::kLibrary;
    if (wanted == "float32") return NarrowProducts::kFloat32;
    if (wanted != "half" && amx::isAvailable()) return NarrowProducts::kAmx;
    if (wanted != "amx" && half::isAvailable()) return NarrowProducts::kHalf;
    // The library's (oneDNN's) are 3 to 5 times as fast as its float32 ones with AMX and on AMD's AVX512-BF16 (Zen 4, Zen 5). On Intel's
    // AVX512-BF16 without AMX they take 1.6 times as long as float32, and with AVX2 alone 7 times.
    const CpuFeatures cpu = cpuFeatures();
    return cpu.matrixUnits || (cpu.bf16 && cpu.isAmd) ? NarrowProducts::kLibrary : NarrowProducts::kFloat32;
  }();
  return which;
}

void narrowProduct(const NarrowLines& a, NarrowPanels& aPanels, const NarrowLines& b, NarrowPanels& bPanels, Columns which,
                   const NarrowResult& out) {
  half::multiply(a, aPanels, b, bPanels, which, out);
}

void narrowProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add, const ResultSquares* squares) {
  const auto isMatrix = [](const at::Tensor& x) {
    return x.dim() == 2 && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat);
  };
  TORCH_CHECK(
      isMatrix(a) && isMatrix(b) && a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1) && out.stride(1) == 1,
      "out [m, n] of a [m, k] and b [k, n] expected");
  const auto withLines = [](const at::Tensor& x) { return x.stride(1) == 1 || x.stride(0) == 1 ? x : x.contiguous(); };
  const at::Tensor first = withLines(a), second = withLines(b);
  const NarrowResult whole{out.mutable_data_ptr(), out.stride(0), out.scalar_type() == at::kFloat, add};
  if (narrowProducts() == NarrowProducts::kAmx) return amx::multiply(operandOf(first), operandOf(second), whole, squares);
  half::multiply(linesOf<at::BFloat16>(first.to(at::kBFloat16)), linesOf<at::BFloat16>(second.to(at::kBFloat16)), whole);
}

}  // namespace tfjs_torch
