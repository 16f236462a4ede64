#pragma once

// Small products inside a parallel region, float32 accumulation and result.

#include <ATen/ATen.h>

#include "cpu/gemm/own_gemm.h"
#include "cpu/simd.h"
#include "runtime/device.h"

namespace tfjs_torch {

#if defined(__linux__) && defined(__x86_64__)
// libtorch's own BLAS. Weak: a libtorch built on another BLAS lacks the second, perhaps both.
extern "C" {
void sgemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k, const float* alpha, const float* a, const int* lda,
            const float* b, const int* ldb, const float* beta, float* c, const int* ldc) __attribute__((weak));
void cblas_gemm_bf16bf16f32(int layout, int ta, int tb, int m, int n, int k, float alpha, const at::BFloat16* a, int lda,
                            const at::BFloat16* b, int ldb, float beta, float* c, int ldc) __attribute__((weak));
}
#endif

// An operand: rows and columns of the product's, wherever its lines lie.
template <typename T>
struct Factor {
  Lines<T> lines;
  Bfloat16Panels panels;
  // A new matrix, or new values in its place.
  void set(const Lines<T>& next) {
    lines = next;
    panels.reset();
  }
};

// Columns `which` of a matrix.
template <typename T>
Lines<T> columnsOf(Lines<T> x, Columns which) {
  x.data += which.begin * (x.byRow ? 1 : x.distance);
  x.columns = which.end - which.begin;
  return x;
}

// Through ATen, for any library.
template <typename T>
void gemmAten(const Lines<T>& a, const Lines<T>& b, bool add, float* c, int64_t ldc) {
  const auto tensor = [](const Lines<T>& x) {
    const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
    return at::from_blob(const_cast<T*>(x.data), {x.rows, x.columns}, {x.byRow ? x.distance : 1, x.byRow ? 1 : x.distance}, options);
  };
  at::Tensor out = at::from_blob(c, {a.rows, b.columns}, {ldc, 1}, at::TensorOptions().dtype(at::kFloat));
  const at::Tensor y = at::mm(tensor(a), tensor(b));
  if (add) {
    out.add_(y);
  } else {
    out.copy_(y);
  }
}

inline void gemmLibrary(const Lines<float>& a, const Lines<float>& b, bool add, float* c, int64_t ldc) {
#if defined(__linux__) && defined(__x86_64__)
  if (sgemm_ != nullptr) {  // Column-major: the same memory is Cᵀ = Bᵀ·Aᵀ.
    const int m = static_cast<int>(b.columns), n = static_cast<int>(a.rows), k = static_cast<int>(a.columns);
    const int la = static_cast<int>(b.distance), lb = static_cast<int>(a.distance), lc = static_cast<int>(ldc);
    const float one = 1, beta = add ? 1 : 0;
    sgemm_(b.byRow ? "N" : "T", a.byRow ? "N" : "T", &m, &n, &k, &one, b.data, &la, a.data, &lb, &beta, c, &lc);
    return;
  }
#endif
  gemmAten(a, b, add, c, ldc);
}

inline void gemmLibrary(const Bfloat16Lines& a, const Bfloat16Lines& b, bool add, float* c, int64_t ldc) {
#if defined(__linux__) && defined(__x86_64__)
  if (cblas_gemm_bf16bf16f32 != nullptr) {
    const int rowMajor = 101, plain = 111, transposed = 112;
    cblas_gemm_bf16bf16f32(rowMajor, a.byRow ? plain : transposed, b.byRow ? plain : transposed, static_cast<int>(a.rows),
                           static_cast<int>(b.columns), static_cast<int>(a.columns), 1, a.data, static_cast<int>(a.distance), b.data,
                           static_cast<int>(b.distance), add ? 1.0f : 0.0f, c, static_cast<int>(ldc));
    return;
  }
#endif
  gemmAten(a, b, add, c, ldc);
}

// c ← so many columns of a·b, or c + that; its rows lie ldc apart.
template <typename T>
void gemm(Factor<T>& a, Factor<T>& b, Columns which, bool add, float* c, int64_t ldc) {
  if constexpr (!std::is_same_v<T, float>) {
    if (bf16Gemm() == Bf16Gemm::kFp16) return fp16Gemm(a.lines, a.panels, b.lines, b.panels, which, {c, ldc, true, add});
  }
  gemmLibrary(a.lines, columnsOf(b.lines, which), add, c, ldc);
}
template <typename T>
void gemm(Factor<T>& a, Factor<T>& b, bool add, float* c, int64_t ldc) {
  gemm(a, b, {0, b.lines.columns}, add, c, ldc);
}

// The weights one under the other, in the width of the activations that they meet: one product instead of several, one cast a step.
inline at::Tensor stackWeights(at::TensorList weights, at::ScalarType type) {
  if (weights.size() == 1 && weights[0].scalar_type() == type) return weights[0].contiguous();
  int64_t rows = 0;
  for (const auto& weight : weights) rows += weight.size(0);
  const at::Tensor all = at::empty({rows, weights[0].size(1)}, weights[0].options().dtype(type));
  int64_t row = 0;
  for (const auto& weight : weights) {
    const at::Tensor part = all.narrow(0, row, weight.size(0));
    if (!onCuda(all))
      convert(weight.contiguous(), part);
    else
      part.copy_(weight);
    row += weight.size(0);
  }
  return all;
}

}  // namespace tfjs_torch
