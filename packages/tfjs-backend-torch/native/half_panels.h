#pragma once

// Operands of half_products.cc as its inner loop reads them: panels of 12 rows or 128 columns, term after term, in half precision.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "half_products.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define TFJS_TORCH_FP16
#include <immintrin.h>

// GCC 12's intrinsics leave vectors undefined on purpose.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#define FP16 __attribute__((target("arch=x86-64-v4,avx512fp16,avx512bf16")))
#define UNROLL _Pragma("GCC unroll 16")

namespace tfjs_torch::half {

using Half = _Float16;

// A tile of the result: 6 rows by 4 vectors, which leaves registers for four of b and some of a. Taller and narrower ones load more often:
// 12 by 2 is as fast on a core of its own, and a fifth slower beside another thread.
inline constexpr int64_t kTileRows = 6, kVectors = 4;
// A panel of a has the rows of two tiles, one of b the columns of one.
inline constexpr int64_t kRows = 2 * kTileRows, kColumns = 32 * kVectors;

inline int64_t panels(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Panels `begin` to `end` of an operand.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// A packed panel begins with a line for what its values are to be multiplied with at last, a power of two.
inline constexpr int64_t kLine = 64;
inline int64_t leftSize(int64_t terms) { return kLine / 4 + kRows * terms; }
inline int64_t rightSize(int64_t terms) { return kLine / 2 + kColumns * terms; }

inline __mmask32 firstOf32(int64_t n) { return n >= 32 ? ~0u : (1u << n) - 1; }
inline __mmask16 firstOf16(int64_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << std::max<int64_t>(n, 0)) - 1); }

// 16 values, or the first so many of them and 0.
FP16 inline __m256i half16(const c10::BFloat16* x, __mmask16 which, __m512 scale) {
  const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(which, x)), 16);
  return _mm256_castph_si256(_mm512_cvtxps_ph(_mm512_mul_ps(_mm512_castsi512_ps(wide), scale)));
}

inline float powerOfTwo(int exponent) { return std::bit_cast<float>((exponent + 127) << 23); }

// The larger of each two magnitudes, without their signs' bits and all but finite ones.
FP16 inline __m512i larger(__m512i most, __m512i values) {
  const __m512i magnitude = _mm512_slli_epi16(values, 1), infinity = _mm512_set1_epi16(static_cast<short>(0xff00));
  return _mm512_mask_max_epu16(most, _mm512_cmplt_epu16_mask(magnitude, infinity), most, magnitude);
}

// The exponent that brings the largest magnitude to [16, 32). Infinities and what is no number come through as such.
// The values: `lines` of `length`, `distance` apart.
FP16 inline int scaleOf(const c10::BFloat16* x, int64_t lines, int64_t length, int64_t distance) {
  __m512i most = _mm512_setzero_si512(), rest = _mm512_setzero_si512();
  const __mmask32 tail = firstOf32(length % 32);
  for (int64_t line = 0; line < lines; ++line, x += distance) {
    int64_t i = 0;
    for (; i + 32 <= length; i += 32) most = larger(most, _mm512_loadu_si512(x + i));
    if (i < length) rest = larger(rest, _mm512_maskz_loadu_epi16(tail, x + i));
  }
  alignas(64) uint16_t each[32];
  _mm512_store_si512(each, _mm512_max_epu16(most, rest));
  const int bits = *std::max_element(each, each + 32) >> 1;
  return bits == 0 ? 0 : std::clamp(4 - ((bits >> 7) - 127), -123, 120);
}

// Each value twice: a 32-bit load fills a vector with it, where 16 bits would take a shuffle as well.
FP16 inline __m512i twice(__m256i halves) {
  const __m512i x = _mm512_cvtepu16_epi32(halves);
  return _mm512_or_si512(x, _mm512_slli_epi32(x, 16));
}

// Panels of a: the first tile's rows term after term, then the second's. These have rows that lie side by side, so all panels are filled together.
FP16 inline void packBesides(const NarrowLines& a, Range which, uint32_t* to) {
  const int64_t first = which.begin * kRows, rows = std::min(which.end * kRows, a.rows) - first, terms = a.columns;
  const int exponent = scaleOf(a.data + first, terms, rows, a.distance);
  const __m512 scale = _mm512_set1_ps(powerOfTwo(exponent));
  for (int64_t i = 0; i < which.size(); ++i, to += leftSize(terms)) *reinterpret_cast<float*>(to) = powerOfTwo(-exponent);
  to -= which.size() * leftSize(terms) - kLine / 4;
  for (int64_t k = 0; k < terms; ++k, to += kTileRows) {
    const c10::BFloat16* const from = a.data + k * a.distance + first;
    uint32_t* panel = to;
    for (int64_t row = 0; row < rows; row += kRows, panel += leftSize(terms)) {
      const __m512i x = twice(half16(from + row, firstOf16(std::min(rows - row, kRows)), scale));
      _mm512_mask_storeu_epi32(panel, 0x3f, x);
      _mm512_mask_storeu_epi32(panel + kTileRows * terms, 0x3f, _mm512_alignr_epi32(x, x, kTileRows));
    }
  }
}

// One panel of rows that are lines.
FP16 inline void packRows(const NarrowLines& a, int64_t row, uint32_t* to) {
  const int64_t rows = std::min(kRows, a.rows - row), terms = a.columns;
  const c10::BFloat16* const from = a.data + row * a.distance;
  const int exponent = scaleOf(from, rows, terms, a.distance);
  const __m512 scale = _mm512_set1_ps(powerOfTwo(exponent));
  *reinterpret_cast<float*>(to) = powerOfTwo(-exponent);
  to += kLine / 4;
  for (int64_t k = 0; k < terms; k += 16) {
    const __mmask16 which = firstOf16(terms - k);
    const int64_t count = std::min<int64_t>(16, terms - k);
    for (int64_t group = 0; group < kRows; group += 4) {
      __m512i x[4];
      UNROLL for (int i = 0; i < 4; ++i) {
        x[i] = group + i < rows ? twice(half16(from + (group + i) * a.distance + k, which, scale)) : _mm512_setzero_si512();
      }
      const __m512i low01 = _mm512_unpacklo_epi32(x[0], x[1]), high01 = _mm512_unpackhi_epi32(x[0], x[1]);
      const __m512i low23 = _mm512_unpacklo_epi32(x[2], x[3]), high23 = _mm512_unpackhi_epi32(x[2], x[3]);
      // Terms 4j, 4j + 1, 4j + 2 and 4j + 3 of lane j.
      alignas(64) uint32_t column[4][16];
      _mm512_store_si512(column[0], _mm512_unpacklo_epi64(low01, low23));
      _mm512_store_si512(column[1], _mm512_unpackhi_epi64(low01, low23));
      _mm512_store_si512(column[2], _mm512_unpacklo_epi64(high01, high23));
      _mm512_store_si512(column[3], _mm512_unpackhi_epi64(high01, high23));
      uint32_t* const one = to + k * kTileRows;
      uint32_t* const other = one + kTileRows * terms;
      for (int64_t i = 0; i < count; ++i) {
        const uint32_t* const rows4 = column[i % 4] + i / 4 * 4;
        if (group == 0) {
          std::memcpy(one + i * kTileRows, rows4, 16);
        } else if (group == 4) {
          std::memcpy(one + i * kTileRows + 4, rows4, 8);
          std::memcpy(other + i * kTileRows, rows4 + 2, 8);
        } else {
          std::memcpy(other + i * kTileRows + 2, rows4, 16);
        }
      }
    }
  }
}

// Panel of b: 64 columns, term after term.
FP16 inline void packColumns(const NarrowLines& b, int64_t column, Half* to) {
  const int64_t columns = std::min(kColumns, b.columns - column), terms = b.rows;
  const c10::BFloat16* const from = b.data + (b.byRow ? column : column * b.distance);
  const int exponent = b.byRow ? scaleOf(from, terms, columns, b.distance) : scaleOf(from, columns, terms, b.distance);
  const __m512 scale = _mm512_set1_ps(powerOfTwo(exponent));
  *reinterpret_cast<float*>(to) = powerOfTwo(-exponent);
  to += kLine / 2;
  if (b.byRow) {
    for (int64_t k = 0; k < terms; ++k) {
      for (int64_t c = 0; c < kColumns; c += 16) {
        const __m256i x = half16(from + k * b.distance + c, firstOf16(columns - c), scale);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k * kColumns + c), x);
      }
    }
    return;
  }
  for (int64_t k = 0; k < terms; k += 16) {
    const __mmask16 which = firstOf16(terms - k);
    const int64_t count = std::min<int64_t>(16, terms - k);
    for (int64_t group = 0; group < kColumns; group += 8) {
      __m256i x[8], pair[8], four[8];
      UNROLL for (int i = 0; i < 8; ++i) {
        x[i] = group + i < columns ? half16(from + (group + i) * b.distance + k, which, scale) : _mm256_setzero_si256();
      }
      UNROLL for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_epi16(x[i], x[i + 1]);
        pair[i + 1] = _mm256_unpackhi_epi16(x[i], x[i + 1]);
      }
      UNROLL for (int i = 0; i < 8; i += 4) {
        UNROLL for (int h = 0; h < 2; ++h) {
          four[i + 2 * h] = _mm256_unpacklo_epi32(pair[i + h], pair[i + 2 + h]);
          four[i + 2 * h + 1] = _mm256_unpackhi_epi32(pair[i + h], pair[i + 2 + h]);
        }
      }
      // Term 8j + c of lane j.
      alignas(32) Half term[8][16];
      UNROLL for (int c = 0; c < 4; ++c) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(term[2 * c]), _mm256_unpacklo_epi64(four[c], four[c + 4]));
        _mm256_store_si256(reinterpret_cast<__m256i*>(term[2 * c + 1]), _mm256_unpackhi_epi64(four[c], four[c + 4]));
      }
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + (k + i) * kColumns + group, term[i % 8] + i / 8 * 8, 16);
    }
  }
}

inline void packLeft(const NarrowLines& a, Range which, uint32_t* to) {
  if (!a.byRow) return packBesides(a, which, to);
  for (int64_t i = which.begin; i < which.end; ++i, to += leftSize(a.columns)) packRows(a, i * kRows, to);
}

inline void packRight(const NarrowLines& b, Range which, Half* to) {
  for (int64_t j = which.begin; j < which.end; ++j, to += rightSize(b.rows)) packColumns(b, j * kColumns, to);
}

}  // namespace tfjs_torch::half

#endif
