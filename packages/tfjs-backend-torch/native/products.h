#pragma once

// Matrix products by the library or, where they are faster on this CPU, ours.

#include "half_products.h"

namespace tfjs_torch {

// Whether out [m, n] of a·b is one of ours.
inline bool isHalfProduct(const at::Tensor& a, const at::Tensor& b) {
  // Fewer are the library's: packing would cost as much as multiplying.
  constexpr int64_t kLeastRows = 12, kLeastColumns = 32, kLeastTerms = 32;
  return a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 && a.is_cpu() && hasHalfProducts() &&
         a.size(0) >= kLeastRows && b.size(1) >= kLeastColumns && a.size(1) >= kLeastTerms;
}

// out ← a·b
inline void productOut(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (isHalfProduct(a, b)) {
    halfProduct(out, a, b, false);
  } else {
    at::mm_out(out, a, b);
  }
}

// out ← out + a·b
inline void addProduct(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (isHalfProduct(a, b)) {
    halfProduct(out, a, b, true);
  } else {
    at::addmm_out(out, out, a, b);
  }
}

// a [m, k]·b [k, n]
inline at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  if (!isHalfProduct(a, b)) return at::mm(a, b);
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  halfProduct(out, a, b, false);
  return out;
}

}  // namespace tfjs_torch
