#pragma once

// Operands of cpu/gemm/fp16/fp16_gemm.cc as its inner loop reads them: panels of 12 rows or 128 columns, term after term, in half
// precision.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "cpu/gemm/own_gemm.h"
#include "cpu/target.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define TFJS_TORCH_FP16
#include <immintrin.h>

TFJS_TORCH_INTRINSICS_BEGIN
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

// A packed panel begins with a line for what its values are to be multiplied with at last, a power of two. It has room for whole blocks of
// terms.
inline constexpr int64_t kLine = 64, kTermBlock = 32;
inline int64_t termRoom(int64_t terms) { return (terms + kTermBlock - 1) / kTermBlock * kTermBlock; }
inline int64_t leftSize(int64_t terms) { return kLine / 4 + kRows * termRoom(terms); }
inline int64_t rightSize(int64_t terms) { return kLine / 2 + kColumns * termRoom(terms); }

inline __mmask32 firstOf32(int64_t n) { return n >= 32 ? ~0u : (1u << n) - 1; }
inline __mmask16 firstOf16(int64_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << std::max<int64_t>(n, 0)) - 1); }

inline float powerOfTwo(int exponent) { return std::bit_cast<float>((exponent + 127) << 23); }

// The larger of each two magnitudes, without their signs' bits and all but finite ones.
TFJS_TORCH_TARGET_FP16 inline __m512i larger(__m512i most, __m512i values) {
  const __m512i magnitude = _mm512_slli_epi16(values, 1), infinity = _mm512_set1_epi16(static_cast<short>(0xff00));
  return _mm512_mask_max_epu16(most, _mm512_cmplt_epu16_mask(magnitude, infinity), most, magnitude);
}

// What is taken off the exponents of a panel's values, `lines` of `length` that lie `distance` apart, to bring the largest finite one to
// half precision's uppermost binade, where the exponent is 30 instead of bfloat16's 142. From there kDown brings it to [8, 16).
inline constexpr int kUppermost = 30, kRebias = 127 - 15, kDown = 12;
TFJS_TORCH_TARGET_FP16 inline int offsetOf(const c10::BFloat16* x, int64_t lines, int64_t length, int64_t distance) {
  __m512i most = _mm512_setzero_si512(), rest = _mm512_setzero_si512();
  const __mmask32 tail = firstOf32(length % 32);
  for (int64_t line = 0; line < lines; ++line, x += distance) {
    int64_t i = 0;
    for (; i + 32 <= length; i += 32) most = larger(most, _mm512_loadu_si512(x + i));
    if (i < length) rest = larger(rest, _mm512_maskz_loadu_epi16(tail, x + i));
  }
  alignas(64) uint16_t each[32];
  _mm512_store_si512(each, _mm512_max_epu16(most, rest));
  return std::max((*std::max_element(each, each + 32) >> 8) - kUppermost, 0);
}

// What undoes it in the result.
inline float undoing(int offset) { return powerOfTwo(offset - kRebias + kDown); }

// Values without their offset, as 16-bit integers at first: a bfloat16's bits are a half's but for three of the exponent's. The
// multiplication rounds what becomes subnormal. Infinities and what is no number come through as such.
TFJS_TORCH_TARGET_FP16 inline __m512i toHalves(__m512i x, __m512i offset) {
  const __m512i magnitude = _mm512_and_si512(x, _mm512_set1_epi16(0x7fff));
  const __mmask32 finite = _mm512_cmplt_epu16_mask(magnitude, _mm512_set1_epi16(0x7f80));
  const __m512i lowered = _mm512_slli_epi16(_mm512_mask_subs_epu16(magnitude, finite, magnitude, offset), 3);
  constexpr int kSelect = 0xca;  // second where first's bit is set, else third
  const __m512i bits = _mm512_ternarylogic_epi32(_mm512_set1_epi16(0x7fff), lowered, x, kSelect);
  return _mm512_castph_si512(_mm512_mul_ph(_mm512_castsi512_ph(bits), _mm512_set1_ph(static_cast<Half>(1.0f / (1 << kDown)))));
}

// The first so many of 32 values as halves, and 0.
TFJS_TORCH_TARGET_FP16 inline __m512i load(const c10::BFloat16* x, __mmask32 which, __m512i offset) {
  return toHalves(_mm512_maskz_loadu_epi16(which, x), offset);
}

TFJS_TORCH_TARGET_FP16 inline __m512i asVector(int offset) { return _mm512_set1_epi16(static_cast<short>(offset << 7)); }

// A vector's four lanes, to places so many bytes apart.
TFJS_TORCH_TARGET_FP16 inline void storeLanes(__m512i x, void* to, int64_t step) {
  char* const at = static_cast<char*>(to);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_castsi512_si128(x));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + step), _mm512_extracti32x4_epi32(x, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 2 * step), _mm512_extracti32x4_epi32(x, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 3 * step), _mm512_extracti32x4_epi32(x, 3));
}

// The halves of a vector's four lanes: the first ones at `to`, the second ones at `second`.
TFJS_TORCH_TARGET_FP16 inline void storeHalfLanes(__m512i x, void* to, void* second, int64_t step) {
  const __m128i lanes[4] = {_mm512_castsi512_si128(x), _mm512_extracti32x4_epi32(x, 1), _mm512_extracti32x4_epi32(x, 2),
                            _mm512_extracti32x4_epi32(x, 3)};
  TFJS_TORCH_UNROLL for (int i = 0; i < 4; ++i) {
    _mm_storel_pd(reinterpret_cast<double*>(static_cast<char*>(to) + i * step), _mm_castsi128_pd(lanes[i]));
    _mm_storeh_pd(reinterpret_cast<double*>(static_cast<char*>(second) + i * step), _mm_castsi128_pd(lanes[i]));
  }
}

// A tile's rows of one term.
TFJS_TORCH_TARGET_FP16 inline void storeTerm(uint32_t* to, __m512i x) { _mm256_mask_storeu_epi32(to, 0x3f, _mm512_castsi512_si256(x)); }

// Panels of a: the first tile's rows term after term, then the second's, each value twice: a 32-bit load fills a vector with it, where 16
// bits would take a shuffle as well. These have rows that lie side by side, so all panels are filled together.
TFJS_TORCH_TARGET_FP16 inline void packBesides(const Bfloat16Lines& a, Range which, uint32_t* to) {
  const int64_t first = which.begin * kRows, rows = std::min(which.end * kRows, a.rows) - first, terms = a.columns;
  const int64_t panel = leftSize(terms), tile = kTileRows * termRoom(terms);
  const int offset = offsetOf(a.data + first, terms, rows, a.distance);
  for (int64_t i = 0; i < which.size(); ++i) *reinterpret_cast<float*>(to + i * panel) = undoing(offset);
  const __m512i offsets = asVector(offset);
  __m512i rowsOf[4];  // of a tile, each twice
  TFJS_TORCH_UNROLL for (int i = 0; i < 4; ++i) {
    const __m512i from =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), _mm512_set1_epi32(i * kTileRows));
    rowsOf[i] = _mm512_or_si512(from, _mm512_slli_epi32(from, 16));
  }
  for (int64_t k = 0; k < terms; ++k) {
    const c10::BFloat16* const from = a.data + k * a.distance + first;
    uint32_t* at = to + kLine / 4 + k * kTileRows;
    for (int64_t row = 0; row < rows; row += 2 * kRows, at += 2 * panel) {
      const __m512i x = load(from + row, firstOf32(std::min(rows - row, 2 * kRows)), offsets);
      storeTerm(at, _mm512_permutexvar_epi16(rowsOf[0], x));
      storeTerm(at + tile, _mm512_permutexvar_epi16(rowsOf[1], x));
      if (rows - row <= kRows) break;
      storeTerm(at + panel, _mm512_permutexvar_epi16(rowsOf[2], x));
      storeTerm(at + panel + tile, _mm512_permutexvar_epi16(rowsOf[3], x));
    }
  }
}

// One panel of rows that are lines.
TFJS_TORCH_TARGET_FP16 inline void packRows(const Bfloat16Lines& a, int64_t row, uint32_t* to) {
  const int64_t rows = std::min(kRows, a.rows - row), terms = a.columns;
  const c10::BFloat16* const from = a.data + row * a.distance;
  const int offset = offsetOf(from, rows, terms, a.distance);
  const __m512i offsets = asVector(offset);
  *reinterpret_cast<float*>(to) = undoing(offset);
  to += kLine / 4;
  constexpr int64_t kTerm = 4 * kTileRows;  // bytes of a term in a tile
  for (int64_t tile = 0; tile < kRows; tile += kTileRows, to += kTileRows * termRoom(terms)) {
    for (int64_t k = 0; k < terms; k += kTermBlock) {
      const __mmask32 which = firstOf32(terms - k);
      __m512i x[kTileRows];
      TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) {
        x[i] = tile + i < rows ? load(from + (tile + i) * a.distance + k, which, offsets) : _mm512_setzero_si512();
      }
      TFJS_TORCH_UNROLL for (int part = 0; part < 2; ++part) {
        // Terms 8 lane + 4 part + 0 to 3, each twice.
        __m512i y[kTileRows];
        TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) {
          y[i] = part == 0 ? _mm512_unpacklo_epi16(x[i], x[i]) : _mm512_unpackhi_epi16(x[i], x[i]);
        }
        const __m512i low01 = _mm512_unpacklo_epi32(y[0], y[1]), high01 = _mm512_unpackhi_epi32(y[0], y[1]);
        const __m512i low23 = _mm512_unpacklo_epi32(y[2], y[3]), high23 = _mm512_unpackhi_epi32(y[2], y[3]);
        char* const at = reinterpret_cast<char*>(to + (k + 4 * part) * kTileRows);
        storeLanes(_mm512_unpacklo_epi64(low01, low23), at, 8 * kTerm);
        storeLanes(_mm512_unpackhi_epi64(low01, low23), at + kTerm, 8 * kTerm);
        storeLanes(_mm512_unpacklo_epi64(high01, high23), at + 2 * kTerm, 8 * kTerm);
        storeLanes(_mm512_unpackhi_epi64(high01, high23), at + 3 * kTerm, 8 * kTerm);
        storeHalfLanes(_mm512_unpacklo_epi32(y[4], y[5]), at + 16, at + kTerm + 16, 8 * kTerm);
        storeHalfLanes(_mm512_unpackhi_epi32(y[4], y[5]), at + 2 * kTerm + 16, at + 3 * kTerm + 16, 8 * kTerm);
      }
    }
  }
}

// Panel of b: 128 columns, term after term.
TFJS_TORCH_TARGET_FP16 inline void packColumns(const Bfloat16Lines& b, int64_t column, Half* to) {
  const int64_t columns = std::min(kColumns, b.columns - column), terms = b.rows;
  const c10::BFloat16* const from = b.data + (b.byRow ? column : column * b.distance);
  const int offset = b.byRow ? offsetOf(from, terms, columns, b.distance) : offsetOf(from, columns, terms, b.distance);
  const __m512i offsets = asVector(offset);
  *reinterpret_cast<float*>(to) = undoing(offset);
  to += kLine / 2;
  if (b.byRow) {
    for (int64_t k = 0; k < terms; ++k, to += kColumns) {
      for (int64_t c = 0; c < kColumns; c += 32) {
        _mm512_store_si512(to + c, load(from + k * b.distance + c, firstOf32(std::max<int64_t>(columns - c, 0)), offsets));
      }
    }
    return;
  }
  for (int64_t k = 0; k < terms; k += kTermBlock, to += kTermBlock * kColumns) {
    const __mmask32 which = firstOf32(terms - k);
    for (int64_t group = 0; group < kColumns; group += 8) {
      __m512i x[8], pair[8], four[8];
      TFJS_TORCH_UNROLL for (int i = 0; i < 8; ++i) {
        x[i] = group + i < columns ? load(from + (group + i) * b.distance + k, which, offsets) : _mm512_setzero_si512();
      }
      TFJS_TORCH_UNROLL for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm512_unpacklo_epi16(x[i], x[i + 1]);
        pair[i + 1] = _mm512_unpackhi_epi16(x[i], x[i + 1]);
      }
      TFJS_TORCH_UNROLL for (int i = 0; i < 8; i += 4) {
        TFJS_TORCH_UNROLL for (int h = 0; h < 2; ++h) {
          four[i + 2 * h] = _mm512_unpacklo_epi32(pair[i + h], pair[i + 2 + h]);
          four[i + 2 * h + 1] = _mm512_unpackhi_epi32(pair[i + h], pair[i + 2 + h]);
        }
      }
      // Term 8 lane + c.
      TFJS_TORCH_UNROLL for (int c = 0; c < 4; ++c) {
        storeLanes(_mm512_unpacklo_epi64(four[c], four[c + 4]), to + 2 * c * kColumns + group, 16 * kColumns);
        storeLanes(_mm512_unpackhi_epi64(four[c], four[c + 4]), to + (2 * c + 1) * kColumns + group, 16 * kColumns);
      }
    }
  }
}

inline void packLeft(const Bfloat16Lines& a, Range which, uint32_t* to) {
  if (!a.byRow) return packBesides(a, which, to);
  for (int64_t i = which.begin; i < which.end; ++i, to += leftSize(a.columns)) packRows(a, i * kRows, to);
}

inline void packRight(const Bfloat16Lines& b, Range which, Half* to) {
  for (int64_t j = which.begin; j < which.end; ++j, to += rightSize(b.rows)) packColumns(b, j * kColumns, to);
}

}  // namespace tfjs_torch::half
TFJS_TORCH_INTRINSICS_END

#endif
