#pragma once

// Rows of activations between widths and slots.

#include <algorithm>
#include <vector>

#include "simd.h"

namespace tfjs_torch {

template <typename From, typename To>
INLINE void copyRow(const From* from, To* to, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(widen(from[i]), to[i]);
}

// to ← from, whatever their widths.
inline void convert(const at::Tensor& from, const at::Tensor& to) {
  withType(from, [&](auto* source) {
    withType(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const From* const in = from.const_data_ptr<From>();
      To* const out = to.mutable_data_ptr<To>();
      parallelSimd(from.numel(), 1 << 15, [=](int64_t begin, int64_t end) INLINE_LAMBDA {
        copyRow(in + begin, out + begin, end - begin);
      });
    });
  });
}

// to[i] ← from[rows[i]]
inline void gatherRows(const at::Tensor& from, const std::vector<int64_t>& rows, const at::Tensor& to) {
  const int64_t width = from.size(1);
  withType(from, [&](auto* source) {
    withType(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const From* const in = from.const_data_ptr<From>();
      To* const out = to.mutable_data_ptr<To>();
      simd([&]() INLINE_LAMBDA {
        for (size_t i = 0; i < rows.size(); ++i) copyRow(in + rows[i] * width, out + i * width, width);
      });
    });
  });
}

// to[rows[i]] ← from[i], 0 elsewhere; rows ascend.
inline void scatterRows(const at::Tensor& from, const std::vector<int64_t>& rows, const at::Tensor& to) {
  const int64_t width = to.size(1);
  withType(from, [&](auto* source) {
    withType(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const From* const in = from.const_data_ptr<From>();
      To* const out = to.mutable_data_ptr<To>();
      const int64_t slots = to.size(0);
      simd([&]() INLINE_LAMBDA {
        size_t next = 0;
        for (int64_t r = 0; r < slots; ++r) {
          if (next < rows.size() && rows[next] == r) {
            copyRow(in + static_cast<int64_t>(next++) * width, out + r * width, width);
          } else {
            std::fill(out + r * width, out + (r + 1) * width, To(0));
          }
        }
      });
    });
  });
}

}  // namespace tfjs_torch
