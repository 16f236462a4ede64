#pragma once

// Loops that the compiler vectorises for the CPU at hand: `simd([&] { loop })` holds the loop once per instruction set and picks at
// run time, so the addon is built for any machine. What the loop calls must be always_inline; loops carry `#pragma omp simd`.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>

#include "cpu/bf16_vectors.h"
#include "cpu/cpu_features.h"
#include "cpu/target.h"

namespace tfjs_torch {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
template <typename F>
__attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))) void simdV4(const F& f) {
  f();
}
template <typename F>
__attribute__((target("arch=x86-64-v3"))) void simdV3(const F& f) {
  f();
}
template <typename F>
void simd(const F& f) {
  switch (simdLevel()) {
    case 4: return simdV4(f);
    case 3: return simdV3(f);
    default: return f();
  }
}
#else
template <typename F>
void simd(const F& f) {
  f();
}
#endif

[[gnu::always_inline]] inline float toFloat(float x) { return x; }
[[gnu::always_inline]] inline float toFloat(c10::BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16); }

[[gnu::always_inline]] inline void fromFloat(float x, float& to) { to = x; }
// To the nearest, ties to even; NaN stays NaN.
[[gnu::always_inline]] inline void fromFloat(float x, c10::BFloat16& to) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.x = static_cast<uint16_t>(x != x ? 0x7fc0u : rounded);
}

// e^x to 2 units in the last place; 0 below -87.3 and e^88 above 88. Cephes' polynomial.
[[gnu::always_inline]] inline float fastExp(float x) {
  const float clamped = x < -87.3f ? -87.3f : (x > 88.0f ? 88.0f : x);
  const float shifted = clamped * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const int32_t n = std::bit_cast<int32_t>(shifted) - 0x4b400000;
  const float k = shifted - 12582912.0f;
  float r = clamped - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const float scaled = p * std::bit_cast<float>((n + 127) << 23);
  return x < -87.3f ? 0.0f : scaled;
}

[[gnu::always_inline]] inline float sigmoid(float x) { return 1.0f / (1.0f + fastExp(-x)); }

// body(begin, end) on ranges of [0, n), on all threads and with the CPU's own vectors.
template <typename F>
void parallelSimd(int64_t n, int64_t grain, const F& body) {
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) { simd([&]() TFJS_TORCH_INLINE_LAMBDA { body(begin, end); }); });
}

// f(null pointer of the element type) for a float32 or bfloat16 tensor.
template <typename F>
void withType(const at::Tensor& x, const F& f) {
  if (x.scalar_type() == at::kBFloat16) return f(static_cast<at::BFloat16*>(nullptr));
  f(static_cast<float*>(nullptr));
}

template <typename From, typename To>
[[gnu::always_inline]] inline void copyRow(const From* from, To* to, int64_t n) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, c10::BFloat16>) {
    if (vectors::available()) return vectors::toBfloat16(from, to, n);
  }
#endif
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) fromFloat(toFloat(from[i]), to[i]);
}

// to ← from, whatever their widths.
inline void convert(const at::Tensor& from, const at::Tensor& to) {
  withType(from, [&](auto* source) {
    withType(to, [&](auto* target) {
      using From = std::remove_pointer_t<decltype(source)>;
      using To = std::remove_pointer_t<decltype(target)>;
      const From* const in = from.const_data_ptr<From>();
      To* const out = to.mutable_data_ptr<To>();
      parallelSimd(from.numel(), 1 << 15,
                   [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA { copyRow(in + begin, out + begin, end - begin); });
    });
  });
}

}  // namespace tfjs_torch
