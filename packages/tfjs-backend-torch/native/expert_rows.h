#pragma once

// What the experts do to rows of activations: copies between widths and slots, and the feed-forward layer's activation.

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

inline constexpr float kSlope = 1.5957691216f;  // 2·√(2/π)
inline constexpr float kCubic = 0.044715f;

// gelu(g)·v in its tanh form, g·σ(2u); v and its terms are left out for ReLU.
template <typename T>
INLINE void activate(const T* gate, const T* value, T* hidden, int64_t n) {
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) narrow(std::max(widen(gate[i]), 0.0f), hidden[i]);
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]);
    narrow(g * sigmoid(g * (kSlope + kSlope * kCubic * g * g)) * widen(value[i]), hidden[i]);
  }
}

// hidden, d gate in the place of d hidden, and d value; `hidden` may lie where `gate` does and `dValue` where `value` does.
template <typename T>
INLINE void activateGradient(const T* gate, const T* value, T* dHidden, T* hidden, T* dValue, int64_t n) {
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = widen(gate[i]);
      narrow(std::max(g, 0.0f), hidden[i]);
      narrow(g > 0 ? widen(dHidden[i]) : 0.0f, dHidden[i]);
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]), v = widen(value[i]), dy = widen(dHidden[i]);
    const float square = g * g;
    const float s = sigmoid(g * (kSlope + kSlope * kCubic * square));
    const float gelu = g * s;
    const float slope = s + gelu * (1 - s) * (kSlope + 3 * kSlope * kCubic * square);
    narrow(gelu * v, hidden[i]);
    narrow(dy * v * slope, dHidden[i]);
    narrow(dy * gelu, dValue[i]);
  }
}

}  // namespace tfjs_torch
