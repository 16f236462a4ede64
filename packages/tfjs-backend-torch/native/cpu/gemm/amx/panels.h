#pragma once

// Operands as matrix units take them: panels of 32 rows or columns, 32 terms after 32 terms, each of two tiles of 1 KB. A tile of the left
// operand is [16 rows, 32 terms], one of the right [16 pairs of terms, 16 columns, 2].

#include <algorithm>
#include <cstdint>

#include "cpu/bf16_vectors.h"
#include "cpu/gemm/amx/amx_gemm.h"

#ifdef TFJS_TORCH_BF16_VECTORS
#define TFJS_TORCH_AMX

#define AMX __attribute__((target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16")))
#define UNROLL _Pragma("GCC unroll 16")

namespace tfjs_torch::amx {

using Narrow = c10::BFloat16;

inline constexpr int64_t kTile = 16;          // rows or columns of a tile
inline constexpr int64_t kLines = 2 * kTile;  // of a panel
inline constexpr int64_t kTerms = 32;         // of a tile
inline constexpr int64_t kTileSize = kTile * kTerms;
inline constexpr int64_t kBlock = 2 * kTileSize;  // values of a panel for 32 terms

inline int64_t ceilDivide(int64_t n, int64_t size) { return (n + size - 1) / size; }
inline int64_t panelSize(int64_t terms) { return ceilDivide(terms, kTerms) * kBlock; }

using vectors::firstOf16;
using vectors::firstOf32;

// The transpose of 16 by 16 values of 32 bits.
AMX inline void transpose(__m512i* x) {
  __m512i y[16];
  UNROLL for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    UNROLL for (int half = 0; half < 2; ++half) {
      x[i + 2 * half] = _mm512_unpacklo_epi64(y[i + half], y[i + 2 + half]);
      x[i + 2 * half + 1] = _mm512_unpackhi_epi64(y[i + half], y[i + 2 + half]);
    }
  }
  // x[4 g + c]: of rows 4 g to 4 g + 3 the columns c, 4 + c, 8 + c, 12 + c, one a lane.
  UNROLL for (int c = 0; c < 4; ++c) {
    const __m512i even = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88), odd = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
    const __m512i evenBelow = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88), oddBelow = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
    y[c] = _mm512_shuffle_i32x4(even, evenBelow, 0x88);
    y[8 + c] = _mm512_shuffle_i32x4(even, evenBelow, 0xdd);
    y[4 + c] = _mm512_shuffle_i32x4(odd, oddBelow, 0x88);
    y[12 + c] = _mm512_shuffle_i32x4(odd, oddBelow, 0xdd);
  }
  UNROLL for (int i = 0; i < 16; ++i) x[i] = y[i];
}

// The first so many of 32 values of an operand, and 0.
AMX inline __m512i load(const float* x, __mmask32 which) {
  const __m512 left = _mm512_maskz_loadu_ps(static_cast<__mmask16>(which), x);
  const __m512 right = _mm512_maskz_loadu_ps(static_cast<__mmask16>(which >> 16), x + 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left));
}
AMX inline __m512i load(const Narrow* x, __mmask32 which) { return _mm512_maskz_loadu_epi16(which, x); }

// Fetches what a later call packs: many short pieces of lines, which the CPU does not foresee.
template <typename T>
AMX inline void fetch(const T* x) {
  __builtin_prefetch(x, 0, 2);
  if constexpr (sizeof(T) == 4) __builtin_prefetch(x + 16, 0, 2);
}

// Lines along the terms, 32 of these from `from` on, to two tiles: each line a row of a tile, or a column.
template <bool transposed, typename T>
AMX inline void packAlong(const T* from, int64_t distance, int64_t lines, int64_t terms, Narrow* to) {
  const __mmask32 which = firstOf32(terms);
  for (int64_t tile = 0; tile < 2; ++tile, to += kTileSize, from += kTile * distance, lines -= kTile) {
    __m512i x[16];
    if (lines > kLines) {
      UNROLL for (int i = 0; i < 16; ++i) fetch(from + (kLines + i) * distance);
    }
    if (lines >= kTile) {
      UNROLL for (int i = 0; i < 16; ++i) x[i] = load(from + i * distance, which);
    } else {
      UNROLL for (int i = 0; i < 16; ++i) x[i] = i < lines ? load(from + i * distance, which) : _mm512_setzero_si512();
    }
    if constexpr (transposed) transpose(x);
    UNROLL for (int i = 0; i < 16; ++i) _mm512_store_si512(to + 32 * i, x[i]);
  }
}

// Lines across the terms: 32 terms of 32 rows or columns to two tiles, rows of pairs of terms, or transposed, rows of rows. The 16 columns
// from `half` on of two terms, one beside the other:
AMX inline __m512i pairs(__m512i even, __m512i odd, int half) {
  const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3,
                                         34, 2, 33, 1, 32, 0);
  return _mm512_permutex2var_epi16(even, _mm512_add_epi16(first, _mm512_set1_epi16(static_cast<int16_t>(half))), odd);
}

template <bool transposed, typename T>
AMX inline void packAcross(const T* from, int64_t distance, int64_t lines, int64_t terms, Narrow* to) {
  const __mmask32 which = firstOf32(lines);
  if (terms > kTerms) {
    for (int64_t i = kTerms; i < std::min(terms, 2 * kTerms); ++i) fetch(from + i * distance);
  }
  const auto pairAt = [&](int64_t i, int half) AMX __attribute__((always_inline)) {
    const __m512i even = 2 * i < terms ? load(from + 2 * i * distance, which) : _mm512_setzero_si512();
    const __m512i odd = 2 * i + 1 < terms ? load(from + (2 * i + 1) * distance, which) : _mm512_setzero_si512();
    return pairs(even, odd, half);
  };
  if constexpr (transposed) {
    for (int half = 0; half < 2; ++half, to += kTileSize) {
      __m512i x[16];
      UNROLL for (int i = 0; i < 16; ++i) x[i] = pairAt(i, half * kTile);
      transpose(x);
      UNROLL for (int i = 0; i < 16; ++i) _mm512_store_si512(to + 32 * i, x[i]);
    }
  } else {
    for (int64_t i = 0; i < kTile; ++i) {
      _mm512_store_si512(to + 32 * i, pairAt(i, 0));
      _mm512_store_si512(to + kTileSize + 32 * i, pairAt(i, kTile));
    }
  }
}

// So many panels of an operand, from the `first` on, and so many of its terms.
struct Section {
  int64_t first, end, term, lastTerm;
};

// Panels of rows (of the left operand) or of columns (of the right) to places `distance` apart.
template <bool isLeft, typename T>
AMX inline void pack(const T* data, const Operand& x, const Section& which, Narrow* to, int64_t distance) {
  const int64_t lines = isLeft ? x.rows : x.columns;
  const auto blockAt = [&](int64_t panel, int64_t term) { return to + (panel - which.first) * distance + (term - which.term) * kLines; };
  if (isLeft == x.byRow) {
    for (int64_t panel = which.first; panel < which.end; ++panel) {
      const int64_t line = panel * kLines;
      for (int64_t k = which.term; k < which.lastTerm; k += kTerms) {
        packAlong<!isLeft>(data + line * x.distance + k, x.distance, lines - line, which.lastTerm - k, blockAt(panel, k));
      }
    }
    return;
  }
  // Panels lie side by side in memory: a term's values of all of them are read in a row.
  for (int64_t k = which.term; k < which.lastTerm; k += kTerms) {
    for (int64_t panel = which.first; panel < which.end; ++panel) {
      const int64_t line = panel * kLines;
      packAcross<isLeft>(data + k * x.distance + line, x.distance, lines - line, which.lastTerm - k, blockAt(panel, k));
    }
  }
}
template <typename T>
AMX inline void pack(const T* data, const Operand& x, bool isLeft, const Section& which, Narrow* to, int64_t distance) {
  if (isLeft)
    pack<true>(data, x, which, to, distance);
  else
    pack<false>(data, x, which, to, distance);
}
AMX inline void pack(const Operand& x, bool isLeft, const Section& which, Narrow* to, int64_t distance) {
  if (x.isFloat)
    pack(static_cast<const float*>(x.data), x, isLeft, which, to, distance);
  else
    pack(static_cast<const Narrow*>(x.data), x, isLeft, which, to, distance);
}

}  // namespace tfjs_torch::amx

#endif
