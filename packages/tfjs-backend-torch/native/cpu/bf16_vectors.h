#pragma once

// Loops over bfloat16 rows by the vectors of a CPU that converts float32 itself (AVX512-BF16), where compilers' own vectors spend most of
// their time on widths; what they compute is as exact as bfloat16 shows.

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/cpu_features.h"
#include "cpu/target.h"

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define TFJS_TORCH_BF16_VECTORS
#include <immintrin.h>

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::vectors {

using c10::BFloat16;

inline bool available() {
  static const bool are = cpuFeatures().bf16 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return are;
}

TFJS_TORCH_TARGET_BF16 inline __mmask32 firstOf32(int64_t n) { return n >= 32 ? ~0u : (1u << std::max<int64_t>(n, 0)) - 1; }
TFJS_TORCH_TARGET_BF16 inline __mmask16 firstOf16(int64_t n) {
  return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << std::max<int64_t>(n, 0)) - 1);
}

// 32 values as two vectors of float32.
struct Floats32 {
  __m512 low, high;
};
TFJS_TORCH_TARGET_BF16 inline __m512 toFloat(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
TFJS_TORCH_TARGET_BF16 inline Floats32 load(const BFloat16* from, __mmask32 which) {
  const __m512i x = _mm512_maskz_loadu_epi16(which, from);
  return {toFloat(_mm512_castsi512_si256(x)), toFloat(_mm512_extracti64x4_epi64(x, 1))};
}
TFJS_TORCH_TARGET_BF16 inline void store(BFloat16* to, __mmask32 which, const Floats32& x) {
  _mm512_mask_storeu_epi16(to, which, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x.high, x.low)));
}

// Whether results may go past the caches, where a line would be read before it is written.
inline bool isAligned(const float* x) { return reinterpret_cast<uintptr_t>(x) % 64 == 0; }

// e^x for x ≤ 88, to 3e-6 of it; 0 below -87 and where `which` says so; NaN stays NaN.
TFJS_TORCH_TARGET_BF16 inline __m512 exponential(__m512 x, __mmask16 which = 0xffff) {
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693147181f), x);
  __m512 p = _mm512_set1_ps(8.3333333e-3f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1666667e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666667e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
  // Results that are no normal numbers would cost a hundred times as much.
  return _mm512_maskz_scalef_ps(_mm512_mask_cmp_ps_mask(which, x, _mm512_set1_ps(-87), _CMP_NLT_UQ), p, n);
}

// The same to 2 units in the last place, as cpu/simd.h's fastExp.
TFJS_TORCH_TARGET_BF16 inline __m512 exactExponential(__m512 x, __mmask16 which = 0xffff) {
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x));
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1));
  return _mm512_maskz_scalef_ps(_mm512_mask_cmp_ps_mask(which, x, _mm512_set1_ps(-87), _CMP_NLT_UQ), p, n);
}

// 1 / (1 + e^-x), to 7e-5 of it.
TFJS_TORCH_TARGET_BF16 inline __m512 sigmoid(__m512 x) {
  const __m512 bounded = _mm512_max_ps(x, _mm512_set1_ps(-80));
  return _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1), exponential(_mm512_sub_ps(_mm512_setzero_ps(), bounded))));
}

// gelu(gate)·value, as t5/activation.h has it.
TFJS_TORCH_TARGET_BF16 inline __m512 gatedGelu(__m512 g, __m512 value, float slope, float cubic) {
  const __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(g, g), _mm512_set1_ps(slope * cubic), _mm512_set1_ps(slope));
  return _mm512_mul_ps(_mm512_mul_ps(g, sigmoid(_mm512_mul_ps(g, inner))), value);
}
// Values times `scale` where they are kept (t5/dropout.h), 0 elsewhere; as they are without bits.
TFJS_TORCH_TARGET_BF16 inline Floats32 timesKept(const Floats32& x, const uint64_t* kept, float scale, int64_t i) {
  if (kept == nullptr) return x;
  const auto bits = static_cast<uint32_t>(kept[i / 64] >> (i % 64));
  const __m512 times = _mm512_set1_ps(scale);
  return {_mm512_maskz_mul_ps(static_cast<__mmask16>(bits), x.low, times),
          _mm512_maskz_mul_ps(static_cast<__mmask16>(bits >> 16), x.high, times)};
}

__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void gatedGelu(const BFloat16* gate, const BFloat16* value, BFloat16* hidden,
                                                                       int64_t n, float slope, float cubic, const uint64_t* kept,
                                                                       float scale) {
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = firstOf32(n - i);
    const Floats32 g = load(gate + i, which), v = timesKept(load(value + i, which), kept, scale, i);
    store(hidden + i, which, {gatedGelu(g.low, v.low, slope, cubic), gatedGelu(g.high, v.high, slope, cubic)});
  }
}

// hidden, dGate and dValue of the same.
struct GeluGradient {
  __m512 hidden, dGate, dValue;
};
TFJS_TORCH_TARGET_BF16 inline GeluGradient gatedGeluGradient(__m512 g, __m512 value, __m512 dy, float slope, float cubic) {
  const __m512 square = _mm512_mul_ps(g, g), one = _mm512_set1_ps(1);
  const __m512 s = sigmoid(_mm512_mul_ps(g, _mm512_fmadd_ps(square, _mm512_set1_ps(slope * cubic), _mm512_set1_ps(slope))));
  const __m512 gelu = _mm512_mul_ps(g, s);
  const __m512 inner = _mm512_fmadd_ps(square, _mm512_set1_ps(3 * slope * cubic), _mm512_set1_ps(slope));
  const __m512 derivative = _mm512_fmadd_ps(_mm512_mul_ps(gelu, _mm512_sub_ps(one, s)), inner, s);
  return {_mm512_mul_ps(gelu, value), _mm512_mul_ps(_mm512_mul_ps(dy, value), derivative), _mm512_mul_ps(dy, gelu)};
}
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void gatedGeluGradient(const BFloat16* gate, const BFloat16* value,
                                                                               const BFloat16* dHidden, BFloat16* hidden, BFloat16* dGate,
                                                                               BFloat16* dValue, int64_t n, float slope, float cubic,
                                                                               const uint64_t* kept, float scale) {
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = firstOf32(n - i);
    const Floats32 g = load(gate + i, which), v = load(value + i, which), dy = timesKept(load(dHidden + i, which), kept, scale, i);
    const GeluGradient low = gatedGeluGradient(g.low, v.low, dy.low, slope, cubic),
                       high = gatedGeluGradient(g.high, v.high, dy.high, slope, cubic);
    store(hidden + i, which, timesKept({low.hidden, high.hidden}, kept, scale, i));
    store(dGate + i, which, {low.dGate, high.dGate});
    store(dValue + i, which, {low.dValue, high.dValue});
  }
}

// Σ e^(x - top).
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline float sumOfExponentials(const BFloat16* x, int64_t n, float top) {
  const __m512 shift = _mm512_set1_ps(top);
  __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 32) {
    const Floats32 v = load(x + i, firstOf32(n - i));
    low = _mm512_add_ps(low, exponential(_mm512_sub_ps(v.low, shift), firstOf16(n - i)));
    high = _mm512_add_ps(high, exponential(_mm512_sub_ps(v.high, shift), firstOf16(n - i - 16)));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(low, high));
}

// x ← scale·e^(x - top)
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void scaleExponentials(BFloat16* x, int64_t n, float top, float scale) {
  const __m512 shift = _mm512_set1_ps(top), times = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = firstOf32(n - i);
    const Floats32 v = load(x + i, which);
    store(
        x + i, which,
        {_mm512_mul_ps(times, exponential(_mm512_sub_ps(v.low, shift))), _mm512_mul_ps(times, exponential(_mm512_sub_ps(v.high, shift)))});
  }
}

// Σ of x's products with y's.
TFJS_TORCH_TARGET_BF16 inline float dot(const BFloat16* x, const BFloat16* y, int64_t n) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = firstOf32(n - i);
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(which, x + i)),
                           reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(which, y + i)));
  }
  return _mm512_reduce_add_ps(sum);
}

// RMSNorm of rows [rows, d], d a multiple of 32, and each row's inverse root mean square.
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void normRows(const float* x, const float* weight, BFloat16* y, float* inverse,
                                                                      int64_t rows, int64_t d, float epsilon) {
  for (int64_t n = 0; n < rows; ++n, x += d, y += d) {
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t i = 0; i < d; i += 32) {
      const __m512 low = _mm512_loadu_ps(x + i), high = _mm512_loadu_ps(x + i + 16);
      sums[0] = _mm512_fmadd_ps(low, low, sums[0]);
      sums[1] = _mm512_fmadd_ps(high, high, sums[1]);
    }
    inverse[n] = 1 / std::sqrt(_mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])) / static_cast<float>(d) + epsilon);
    const __m512 scale = _mm512_set1_ps(inverse[n]);
    const auto at = [&](int64_t i) TFJS_TORCH_TARGET_BF16 __attribute__((always_inline)) {
      return _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), scale), _mm512_loadu_ps(weight + i));
    };
    for (int64_t i = 0; i < d; i += 32) store(y + i, ~0u, {at(i), at(i + 16)});
  }
}

// Its gradient, added to `known` where that is given: t5/rms_norm.cc has the formula. dx is 64 bytes aligned; dw [d] is added to.
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void normGradRows(const BFloat16* dy, const float* x, const float* weight,
                                                                          const float* inverse, const float* known, float* dx, float* dw,
                                                                          int64_t rows, int64_t d) {
  for (int64_t n = 0; n < rows; ++n, dy += d, x += d, dx += d) {
    const __m512 scale = _mm512_set1_ps(inverse[n]);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int64_t i = 0; i < d; i += 32) {
      const Floats32 y = load(dy + i, ~0u);
      const __m512 low = _mm512_mul_ps(_mm512_mul_ps(y.low, _mm512_loadu_ps(x + i)), scale);
      const __m512 high = _mm512_mul_ps(_mm512_mul_ps(y.high, _mm512_loadu_ps(x + i + 16)), scale);
      _mm512_storeu_ps(dw + i, _mm512_add_ps(_mm512_loadu_ps(dw + i), low));
      _mm512_storeu_ps(dw + i + 16, _mm512_add_ps(_mm512_loadu_ps(dw + i + 16), high));
      sums[0] = _mm512_fmadd_ps(low, _mm512_loadu_ps(weight + i), sums[0]);
      sums[1] = _mm512_fmadd_ps(high, _mm512_loadu_ps(weight + i + 16), sums[1]);
    }
    const __m512 along = _mm512_set1_ps(_mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])) * inverse[n] / static_cast<float>(d));
    const auto put = [&](int64_t i, __m512 y) TFJS_TORCH_TARGET_BF16 __attribute__((always_inline)) {
      const __m512 inner = _mm512_fmsub_ps(y, _mm512_loadu_ps(weight + i), _mm512_mul_ps(_mm512_loadu_ps(x + i), along));
      const __m512 d = known == nullptr ? _mm512_mul_ps(scale, inner) : _mm512_fmadd_ps(scale, inner, _mm512_loadu_ps(known + i));
      _mm512_stream_ps(dx + i, d);
    };
    for (int64_t i = 0; i < d; i += 32) {
      const Floats32 y = load(dy + i, ~0u);
      put(i, y.low);
      put(i + 16, y.high);
    }
    if (known != nullptr) known += d;
  }
  _mm_sfence();
}

// out ← x + y times its factors (timesKept), n a multiple of 32, out 64 bytes aligned.
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void add(const float* x, const BFloat16* y, float* out, int64_t n,
                                                                 const uint64_t* kept, float scale) {
  for (int64_t i = 0; i < n; i += 32) {
    const Floats32 v = timesKept(load(y + i, ~0u), kept, scale, i);
    _mm512_stream_ps(out + i, _mm512_add_ps(_mm512_loadu_ps(x + i), v.low));
    _mm512_stream_ps(out + i + 16, _mm512_add_ps(_mm512_loadu_ps(x + i + 16), v.high));
  }
  _mm_sfence();
}

// Rows of float32 to bfloat16.
__attribute__((noinline)) TFJS_TORCH_TARGET_BF16 inline void toBfloat16(const float* from, BFloat16* to, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    store(to + i, firstOf32(n - i),
          {_mm512_maskz_loadu_ps(firstOf16(n - i), from + i), _mm512_maskz_loadu_ps(firstOf16(n - i - 16), from + i + 16)});
  }
}

}  // namespace tfjs_torch::vectors
TFJS_TORCH_INTRINSICS_END

#endif
