#pragma once

// The feed-forward layers' activations, gated GELU or ReLU.

#include <algorithm>

#include "cpu/bf16_vectors.h"
#include "cpu/simd.h"
#include "t5/dropout.h"

namespace tfjs_torch {

inline constexpr float kSlope = 1.5957691216f;  // 2·√(2/π)
inline constexpr float kCubic = 0.044715f;

// gelu(gate)·value in its tanh form, g·σ(2u), as src/ops/feedForward.ts has it; without a value relu(gate). Entries that are not kept are
// 0.
template <typename T>
[[gnu::always_inline]] inline void activate(const T* gate, const T* value, T* hidden, int64_t n, const Kept& kept) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available() && value != nullptr) {
      return vectors::gatedGelu(gate, value, hidden, n, kSlope, kCubic, kept.bits, kept.scale);
    }
  }
#endif
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) fromFloat(std::max(toFloat(gate[i]), 0.0f), hidden[i]);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = toFloat(gate[i]);
      fromFloat(g * sigmoid(g * (kSlope + kSlope * kCubic * g * g)) * toFloat(value[i]), hidden[i]);
    }
  }
  if (kept.bits != nullptr) timesKept(kept, hidden, hidden, n);
}

// hidden, dGate and dValue, which may lie in the place of gate, dHidden and value.
template <typename T>
[[gnu::always_inline]] inline void activateGradient(const T* gate, const T* value, const T* dHidden, T* hidden, T* dGate, T* dValue,
                                                    int64_t n, const Kept& kept) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available() && value != nullptr) {
      return vectors::gatedGeluGradient(gate, value, dHidden, hidden, dGate, dValue, n, kSlope, kCubic, kept.bits, kept.scale);
    }
  }
#endif
  const T* dy = dHidden;
  if (kept.bits != nullptr) {
    timesKept(kept, dHidden, dGate, n);
    dy = dGate;
  }
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = toFloat(gate[i]);
      fromFloat(std::max(g, 0.0f), hidden[i]);
      fromFloat(g > 0 ? toFloat(dy[i]) : 0.0f, dGate[i]);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = toFloat(gate[i]), v = toFloat(value[i]), d = toFloat(dy[i]);
      const float square = g * g;
      const float s = sigmoid(g * (kSlope + kSlope * kCubic * square));
      const float gelu = g * s;
      const float slope = s + gelu * (1 - s) * (kSlope + 3 * kSlope * kCubic * square);
      fromFloat(gelu * v, hidden[i]);
      fromFloat(d * v * slope, dGate[i]);
      fromFloat(d * gelu, dValue[i]);
    }
  }
  if (kept.bits != nullptr) timesKept(kept, hidden, hidden, n);
}

}  // namespace tfjs_torch
