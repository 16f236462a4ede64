#pragma once

// The feed-forward layers' activations, gated GELU or ReLU.

#include <algorithm>

#include "cpu/bf16_vectors.h"
#include "cpu/simd.h"

namespace tfjs_torch {

inline constexpr float kSlope = 1.5957691216f;  // 2·√(2/π)
inline constexpr float kCubic = 0.044715f;

// gelu(gate)·value in its tanh form, g·σ(2u), as src/ops/feedForward.ts has it; without a value relu(gate).
template <typename T>
[[gnu::always_inline]] inline void activate(const T* gate, const T* value, T* hidden, int64_t n) {
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) fromFloat(std::max(toFloat(gate[i]), 0.0f), hidden[i]);
    return;
  }
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return vectors::gatedGelu(gate, value, hidden, n, kSlope, kCubic);
  }
#endif
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = toFloat(gate[i]);
    fromFloat(g * sigmoid(g * (kSlope + kSlope * kCubic * g * g)) * toFloat(value[i]), hidden[i]);
  }
}

// hidden, dGate and dValue, which may lie in the place of gate, dHidden and value.
template <typename T>
[[gnu::always_inline]] inline void activateGradient(const T* gate, const T* value, const T* dHidden, T* hidden, T* dGate, T* dValue,
                                                    int64_t n) {
  if (value == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float g = toFloat(gate[i]);
      fromFloat(std::max(g, 0.0f), hidden[i]);
      fromFloat(g > 0 ? toFloat(dHidden[i]) : 0.0f, dGate[i]);
    }
    return;
  }
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return vectors::gatedGeluGradient(gate, value, dHidden, hidden, dGate, dValue, n, kSlope, kCubic);
  }
#endif
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = toFloat(gate[i]), v = toFloat(value[i]), dy = toFloat(dHidden[i]);
    const float square = g * g;
    const float s = sigmoid(g * (kSlope + kSlope * kCubic * square));
    const float gelu = g * s;
    const float slope = s + gelu * (1 - s) * (kSlope + 3 * kSlope * kCubic * square);
    fromFloat(gelu * v, hidden[i]);
    fromFloat(dy * v * slope, dGate[i]);
    fromFloat(dy * gelu, dValue[i]);
  }
}

}  // namespace tfjs_torch
