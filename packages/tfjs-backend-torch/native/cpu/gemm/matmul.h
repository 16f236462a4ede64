#pragma once

// Matrix products by the library or, where they are faster on this CPU, ours; of bfloat16 matrices in float32 where a CPU has no fast way
// to multiply them as they are.

#include <c10/core/InferenceMode.h>

#include <vector>

#include "cpu/gemm/own_gemm.h"
#include "cpu/tasks.h"
#include "runtime/device.h"

namespace tfjs_torch {

// Whether bfloat16 matrices are multiplied as they are where x lies, which is faster there than float32 copies.
inline bool isBfloat16Fast(const at::Tensor& x) { return onCuda(x) || bf16Gemm() != Bf16Gemm::kFloat32; }

inline bool isSlow(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16 && !isBfloat16Fast(x); }

// x, or a copy in float32 where that is multiplied faster.
inline at::Tensor inFastWidth(const at::Tensor& x) { return isSlow(x) ? x.to(at::kFloat) : x; }

// Whether out [m, n] of a·b is one of ours.
inline bool isOwnGemm(const at::Tensor& a, const at::Tensor& b) {
  // Fewer are the library's: packing would cost as much as multiplying.
  constexpr int64_t kLeastRows = 8, kLeastColumns = 16, kLeastTerms = 16;
  return a.scalar_type() == b.scalar_type() && !onCuda(a) && hasOwnGemm(a.scalar_type()) && a.size(0) >= kLeastRows &&
         b.size(1) >= kLeastColumns && a.size(1) >= kLeastTerms;
}

// a [m, k]·b [k, n]
inline at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  if (!isOwnGemm(a, b)) return at::mm(inFastWidth(a), inFastWidth(b)).to(a.scalar_type());
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  ownGemm(out, a, b, false);
  return out;
}

// out ← a·b, all of one width in which they are fast.
inline void productOut(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (isOwnGemm(a, b)) {
    ownGemm(out, a, b, false);
  } else {
    at::mm_out(out, a, b);
  }
}

// out ← out + a·b, likewise.
inline void addProduct(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (isOwnGemm(a, b)) {
    ownGemm(out, a, b, true);
  } else {
    at::addmm_out(out, out, a, b);
  }
}

// a [..., m, k]·b [..., k, n]
inline at::Tensor products(const at::Tensor& a, const at::Tensor& b) {
  const auto batch = [](const at::Tensor& x) { return x.sizes().slice(0, x.dim() - 2); };
  const auto library = [&] { return at::matmul(inFastWidth(a), inFastWidth(b)).to(a.scalar_type()); };
  if (a.dim() < 3 || a.dim() != b.dim() || batch(a) != batch(b) || a.numel() == 0) return library();
  const at::Tensor as = a.flatten(0, -3), bs = b.flatten(0, -3);
  if (!isOwnGemm(as[0], bs[0])) return library();
  const at::Tensor out = at::empty({as.size(0), as.size(1), bs.size(2)}, a.options());
  const auto one = [&](int64_t i) { ownGemm(out[i], as[i], bs[i], false); };
  if (out.size(0) < 2 * workersHere()) {
    for (int64_t i = 0; i < out.size(0); ++i) one(i);
  } else {  // enough of them for a thread to take each on its own
    forTasks(out.size(0), [&](int64_t, int64_t i) {
      const c10::InferenceMode inference;  // a thread's own
      one(i);
    });
  }
  std::vector<int64_t> shape = a.sizes().vec();
  shape.back() = b.size(-1);
  return out.view(shape);
}

}  // namespace tfjs_torch
