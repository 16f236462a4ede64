#pragma once

// Small products inside a parallel region, float32 accumulation and result.

#include <ATen/ATen.h>

#include "narrow_products.h"

namespace tfjs_torch {

#if defined(__linux__) && defined(__x86_64__)
// libtorch's own BLAS. Weak: a libtorch built on another BLAS lacks the second, perhaps both.
extern "C" {
void sgemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k, const float* alpha, const float* a,
            const int* lda, const float* b, const int* ldb, const float* beta, float* c, const int* ldc)
    __attribute__((weak));
void cblas_gemm_bf16bf16f32(int layout, int ta, int tb, int m, int n, int k, float alpha, const at::BFloat16* a, int lda,
                            const at::BFloat16* b, int ldb, float beta, float* c, int ldc) __attribute__((weak));
}
#endif

// An operand: rows and columns of the product's, wherever its lines lie.
template <typename T>
struct Factor {
  Lines<T> lines;
  NarrowPanels panels;
  // A new matrix, or new values in its place.
  void set(const Lines<T>& next) {
    lines = next;
    panels.reset();
  }
  at::Tensor tensor() const {
    const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
    const int64_t d = lines.distance;
    return at::from_blob(const_cast<T*>(lines.data), {lines.rows, lines.columns}, {lines.byRow ? d : 1, lines.byRow ? 1 : d}, options);
  }
};

// Through ATen, for any library.
template <typename T>
void gemmAten(const Factor<T>& a, const Factor<T>& b, bool add, float* c, int64_t ldc) {
  at::Tensor out = at::from_blob(c, {a.lines.rows, b.lines.columns}, {ldc, 1}, at::TensorOptions().dtype(at::kFloat));
  const at::Tensor y = at::mm(a.tensor(), b.tensor());
  if (add) {
    out.add_(y);
  } else {
    out.copy_(y);
  }
}

// c ← a·b, or c + a·b; its rows lie ldc apart.
inline void gemm(const Factor<float>& a, const Factor<float>& b, bool add, float* c, int64_t ldc) {
#if defined(__linux__) && defined(__x86_64__)
  if (sgemm_ != nullptr) {  // Column-major: the same memory is Cᵀ = Bᵀ·Aᵀ.
    const int m = static_cast<int>(b.lines.columns), n = static_cast<int>(a.lines.rows), k = static_cast<int>(a.lines.columns);
    const int la = static_cast<int>(b.lines.distance), lb = static_cast<int>(a.lines.distance), lc = static_cast<int>(ldc);
    const float one = 1, beta = add ? 1 : 0;
    sgemm_(b.lines.byRow ? "N" : "T", a.lines.byRow ? "N" : "T", &m, &n, &k, &one, b.lines.data, &la, a.lines.data, &lb, &beta, c, &lc);
    return;
  }
#endif
  gemmAten(a, b, add, c, ldc);
}

inline void gemm(Factor<at::BFloat16>& a, Factor<at::BFloat16>& b, bool add, float* c, int64_t ldc) {
  if (hasNarrowProducts()) return narrowProduct(a.lines, a.panels, b.lines, b.panels, {c, ldc, true, add});
#if defined(__linux__) && defined(__x86_64__)
  if (cblas_gemm_bf16bf16f32 != nullptr) {
    const int rowMajor = 101, plain = 111, transposed = 112;
    cblas_gemm_bf16bf16f32(rowMajor, a.lines.byRow ? plain : transposed, b.lines.byRow ? plain : transposed,
                           static_cast<int>(a.lines.rows), static_cast<int>(b.lines.columns), static_cast<int>(a.lines.columns), 1,
                           a.lines.data, static_cast<int>(a.lines.distance), b.lines.data, static_cast<int>(b.lines.distance),
                           add ? 1.0f : 0.0f, c, static_cast<int>(ldc));
    return;
  }
#endif
  gemmAten(a, b, add, c, ldc);
}

// The weights one under the other, in the width of the activations that they meet: one product instead of several, one cast a step.
inline at::Tensor stackWeights(at::TensorList weights, at::ScalarType type) {
  if (weights.size() == 1) return weights[0].to(type).contiguous();
  int64_t rows = 0;
  for (const auto& weight : weights) rows += weight.size(0);
  at::Tensor all = at::empty({rows, weights[0].size(1)}, weights[0].options().dtype(type));
  int64_t row = 0;
  for (const auto& weight : weights) {
    all.narrow(0, row, weight.size(0)).copy_(weight);
    row += weight.size(0);
  }
  return all;
}

}  // namespace tfjs_torch
