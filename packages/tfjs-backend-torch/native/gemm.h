#pragma once

// Small row-major products inside a parallel region: C [m, n] = A·B + beta C, float32 accumulation and result.

#include <ATen/ATen.h>

#include "half_products.h"

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

struct Product {
  bool transposeA, transposeB;
  int64_t m, n, k;
};

// Through ATen, for any library.
template <typename T>
void gemmAten(const Product& p, const T* a, int64_t lda, const T* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
  const auto matrix = [&](const T* x, int64_t ld, int64_t rows, int64_t columns, bool transposed) {
    return transposed ? at::from_blob(const_cast<T*>(x), {rows, columns}, {1, ld}, options)
                      : at::from_blob(const_cast<T*>(x), {rows, columns}, {ld, 1}, options);
  };
  at::Tensor out = at::from_blob(c, {p.m, p.n}, {ldc, 1}, at::TensorOptions().dtype(at::kFloat));
  const at::Tensor y = at::mm(matrix(a, lda, p.m, p.k, p.transposeA), matrix(b, ldb, p.k, p.n, p.transposeB));
  if (beta == 0) {
    out.copy_(y);
  } else {
    out.add_(y);
  }
}

// beta is 0 or 1; lda, ldb, ldc are the rows' distances as the matrices lie in memory.
inline void gemm(const Product& p, const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                 int64_t ldc, HalfScratch&) {
#if defined(__linux__) && defined(__x86_64__)
  if (sgemm_ != nullptr) {  // Column-major: the same memory is Cᵀ = Bᵀ·Aᵀ.
    const int m = static_cast<int>(p.n), n = static_cast<int>(p.m), k = static_cast<int>(p.k);
    const int la = static_cast<int>(ldb), lb = static_cast<int>(lda), lc = static_cast<int>(ldc);
    const float one = 1;
    sgemm_(p.transposeB ? "T" : "N", p.transposeA ? "T" : "N", &m, &n, &k, &one, b, &la, a, &lb, &beta, c, &lc);
    return;
  }
#endif
  gemmAten(p, a, lda, b, ldb, beta, c, ldc);
}

inline void gemm(const Product& p, const at::BFloat16* a, int64_t lda, const at::BFloat16* b, int64_t ldb, float beta,
                 float* c, int64_t ldc, HalfScratch& scratch) {
  if (hasHalfProducts()) {
    const Lines left{a, p.m, p.k, lda, !p.transposeA}, right{b, p.k, p.n, ldb, !p.transposeB};
    return halfProduct(left, right, {c, ldc, true, beta != 0}, scratch);
  }
#if defined(__linux__) && defined(__x86_64__)
  if (cblas_gemm_bf16bf16f32 != nullptr) {
    const int rowMajor = 101, plain = 111, transposed = 112;
    cblas_gemm_bf16bf16f32(rowMajor, p.transposeA ? transposed : plain, p.transposeB ? transposed : plain,
                           static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), 1, a,
                           static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
    return;
  }
#endif
  gemmAten(p, a, lda, b, ldb, beta, c, ldc);
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
