#pragma once

// Products of a few rows of bytes with a matrix of bytes that comes from memory, exact: bound by the memory where the CPU has VNNI.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/cpu_features.h"
#include "cpu/target.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TFJS_TORCH_BYTE_VECTORS
#define TFJS_TORCH_TARGET_VNNI __attribute__((target("arch=x86-64-v4,avx512vnni")))
#include <immintrin.h>
#endif

namespace tfjs_torch {

// sums[n·distance + v] = Σ w[v]·x[n] of `columns` columns, w [lines, columns], x [rows, columns] with its rows `apart` bytes apart.
struct ByteProducts {
  const uint8_t* w;
  const int8_t* x;
  int64_t lines, rows, columns, apart;
  int32_t* sums;
  int64_t distance;
};

// Lines from `begin` on, in a form that compilers vectorise: by 16 bits, of which CPUs add products up in pairs.
[[gnu::always_inline]] inline void byteProducts(const ByteProducts& p, int64_t begin) {
  if (begin == p.lines) return;
  std::vector<int16_t> rows(p.rows * p.columns), line(p.columns);
  for (int64_t n = 0; n < p.rows; ++n) std::copy_n(p.x + n * p.apart, p.columns, rows.data() + n * p.columns);
  int16_t* const w = line.data();
  for (int64_t v = begin; v < p.lines; ++v) {
    const uint8_t* const from = p.w + v * p.columns;
#pragma omp simd
    for (int64_t i = 0; i < p.columns; ++i) w[i] = from[i];
    for (int64_t n = 0; n < p.rows; ++n) {
      const int16_t* const x = rows.data() + n * p.columns;
      int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < p.columns; ++i) sum += static_cast<int32_t>(w[i]) * static_cast<int32_t>(x[i]);
      p.sums[n * p.distance + v] = sum;
    }
  }
}

#ifdef TFJS_TORCH_BYTE_VECTORS
TFJS_TORCH_INTRINSICS_BEGIN
namespace vectors {

inline constexpr int64_t kByteLines = 8;

inline bool hasByteProducts() {
  static const bool has = simdLevel() == 4 && __builtin_cpu_supports("avx512vnni");
  return has;
}

// The sums of eight vectors.
TFJS_TORCH_TARGET_VNNI inline __m256i sums(const __m512i* x) {
  __m256i half[8];
  TFJS_TORCH_UNROLL for (int j = 0; j < 8; ++j) half[j] =
      _mm256_add_epi32(_mm512_castsi512_si256(x[j]), _mm512_extracti64x4_epi64(x[j], 1));
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(half[4], half[5]), _mm256_hadd_epi32(half[6], half[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

// The lines of whole eights. Rows of x are a multiple of 64 bytes apart, with 0 after their columns. @returns how many they were
__attribute__((noinline)) TFJS_TORCH_TARGET_VNNI inline int64_t byteProducts(const ByteProducts& p) {
  // In registers: 3 rows of x by 8 of w.
  constexpr int64_t kRows = 3, kVector = 64;
  const int64_t lines = p.lines / kByteLines * kByteLines;
  for (int64_t v = 0; v < lines; v += kByteLines) {
    const uint8_t* const w = p.w + v * p.columns;
    for (int64_t r = 0; r < p.rows; r += kRows) {
      const int8_t* rows[kRows];
      TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) rows[i] = p.x + std::min(r + i, p.rows - 1) * p.apart;
      __m512i sum[kRows][kByteLines];
      TFJS_TORCH_UNROLL for (auto& row : sum) TFJS_TORCH_UNROLL for (auto& one : row) one = _mm512_setzero_si512();
      for (int64_t k = 0; k < p.columns; k += kVector) {
        const __mmask64 which = p.columns - k >= kVector ? ~__mmask64{0} : (__mmask64{1} << (p.columns - k)) - 1;
        __m512i x[kRows];
        TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) x[i] = _mm512_loadu_si512(rows[i] + k);
        TFJS_TORCH_UNROLL for (int j = 0; j < kByteLines; ++j) {
          const __m512i line = _mm512_maskz_loadu_epi8(which, w + j * p.columns + k);
          // The next eight, which are read when these are done.
          if (r == 0) __builtin_prefetch(w + (kByteLines + j) * p.columns + k, 0, 2);
          TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], line, x[i]);
        }
      }
      TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) {
        if (r + i < p.rows) _mm256_storeu_si256(reinterpret_cast<__m256i*>(p.sums + (r + i) * p.distance + v), sums(sum[i]));
      }
    }
  }
  return lines;
}

}  // namespace vectors
TFJS_TORCH_INTRINSICS_END
#endif

}  // namespace tfjs_torch
