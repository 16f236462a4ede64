#pragma once

// Router jitter on the CPU: a tensor's entries are multiplied by a + b·u, where u is a function of a key, a step and an entry's place
// (runtime/philox.h).

#include <algorithm>

#include "cpu/philox_words.h"
#include "cpu/simd.h"

namespace tfjs_torch {

// Factors of entries first to first + count − 1; `first` is a multiple of 4.
inline void jitterFactors(const PhiloxDraws& draws, const NoiseFactors& jitter, int64_t first, int64_t count, float* to) {
  constexpr int64_t kAtOnce = 16 * kPhiloxWords;
  uint32_t words[kAtOnce];
  const float a = jitter.a, b = jitter.b;
  for (int64_t at = 0; at < count; at += kAtOnce) {
    const int64_t n = std::min(kAtOnce, count - at);
    philoxWords(draws, static_cast<uint64_t>((first + at) / 4), (n + kPhiloxWords - 1) / kPhiloxWords, words);
    float* const factors = to + at;
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) {
        const float uniform = static_cast<float>(static_cast<int32_t>(words[i] >> 8)) * 0x1p-24f;
        factors[i] = b * uniform;
      }
      // Two roundings, as in JavaScript: the compiler makes no multiply-add of what lies on both sides of this.
      __asm__ volatile("" ::: "memory");
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) factors[i] += a;
    });
  }
}

}  // namespace tfjs_torch
