#pragma once

// Rows of activations between widths and slots.

#include <algorithm>
#include <vector>

#include "cpu/simd.h"

namespace tfjs_torch {

// to[i] ← from[rows[i]]
inline void gatherRows(const at::Tensor& from, const std::vector<int64_t>& rows, const at::Tensor& to) {
  const int64_t width = from.size(1);
  withType(from, [&](auto* source) {
    withType(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const From* const in = from.const_data_ptr<From>();
      To* const out = to.mutable_data_ptr<To>();
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
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
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
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
