#pragma once

// Operands as microkernels take them: panels of 32 rows or columns, block after block of terms, each of two tiles of 1 KB, 16 rows of 64
// bytes. A tile of the left operand is [16 rows, kTerms], one of the right [kTerms / kPair, 16 columns, kPair], where kPair terms of
// bfloat16 fill 32 bits: AMX's layout, whose rows are vdpbf16ps's operands too, and with float32 fused multiply-add's.

#include <algorithm>
#include <cstdint>

#include "cpu/bf16_vectors.h"
#include "cpu/gemm/packed/packed_gemm.h"

#ifdef TFJS_TORCH_BF16_VECTORS
#define TFJS_TORCH_PACKED

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

using c10::BFloat16;

inline constexpr int64_t kTile = 16;          // rows or columns of a tile
inline constexpr int64_t kLines = 2 * kTile;  // of a panel

// Panels of E, bfloat16 or float32.
template <typename E>
struct Layout {
  static constexpr int64_t kPair = 4 / sizeof(E);
  static constexpr int64_t kTerms = kTile * kPair;  // of a tile
  static constexpr int64_t kTileSize = kTile * kTerms;
  static constexpr int64_t kBlock = 2 * kTileSize;               // values of a panel for kTerms terms
  static constexpr int64_t kPanelBlocks = kLines / kTerms;       // blocks for as many terms as a panel has lines
  static constexpr int64_t kPanelTerms = kPanelBlocks * kBlock;  // their values
  // Where term t of 16 columns begins in a panel of a right operand.
  static constexpr int64_t termAt(int64_t t) { return t / kTerms * kBlock + t % kTerms / kPair * kTerms; }
};

inline int64_t ceilDivide(int64_t n, int64_t size) { return (n + size - 1) / size; }
template <typename E>
int64_t panelSize(int64_t terms) {
  return ceilDivide(terms, Layout<E>::kTerms) * Layout<E>::kBlock;
}

using vectors::firstOf16;
using vectors::firstOf32;

// The transpose of 16 by 16 values of 32 bits.
TFJS_TORCH_TARGET_PACKED inline void transpose(__m512i* x) {
  __m512i y[16];
  TFJS_TORCH_UNROLL for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  TFJS_TORCH_UNROLL for (int i = 0; i < 16; i += 4) {
    TFJS_TORCH_UNROLL for (int half = 0; half < 2; ++half) {
      x[i + 2 * half] = _mm512_unpacklo_epi64(y[i + half], y[i + 2 + half]);
      x[i + 2 * half + 1] = _mm512_unpackhi_epi64(y[i + half], y[i + 2 + half]);
    }
  }
  // x[4 g + c]: of rows 4 g to 4 g + 3 the columns c, 4 + c, 8 + c, 12 + c, one a lane.
  TFJS_TORCH_UNROLL for (int c = 0; c < 4; ++c) {
    const __m512i even = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88), odd = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
    const __m512i evenBelow = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88), oddBelow = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
    y[c] = _mm512_shuffle_i32x4(even, evenBelow, 0x88);
    y[8 + c] = _mm512_shuffle_i32x4(even, evenBelow, 0xdd);
    y[4 + c] = _mm512_shuffle_i32x4(odd, oddBelow, 0x88);
    y[12 + c] = _mm512_shuffle_i32x4(odd, oddBelow, 0xdd);
  }
  TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) x[i] = y[i];
}

// The first so many of 32 values of an operand as bfloat16, and 0.
TFJS_TORCH_TARGET_PACKED inline __m512i loadBfloat16(const float* x, __mmask32 which) {
  const __m512 left = _mm512_maskz_loadu_ps(static_cast<__mmask16>(which), x);
  const __m512 right = _mm512_maskz_loadu_ps(static_cast<__mmask16>(which >> 16), x + 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left));
}
TFJS_TORCH_TARGET_PACKED inline __m512i loadBfloat16(const BFloat16* x, __mmask32 which) { return _mm512_maskz_loadu_epi16(which, x); }

// The first so many of 16 values as float32.
TFJS_TORCH_TARGET_PACKED inline __m512i loadFloat(const float* x, int64_t n) { return _mm512_maskz_loadu_epi32(firstOf16(n), x); }
TFJS_TORCH_TARGET_PACKED inline __m512i loadFloat(const BFloat16* x, int64_t n) {
  return _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(firstOf16(n), x)), 16);
}

// 64 bytes of E: the first so many terms of a line.
template <typename E, typename T>
TFJS_TORCH_TARGET_PACKED inline __m512i loadTerms(const T* x, int64_t n) {
  if constexpr (std::is_same_v<E, float>)
    return loadFloat(x, n);
  else
    return loadBfloat16(x, firstOf32(n));
}

// Fetches what a later call packs: many short pieces of lines, which the CPU does not foresee.
template <typename T>
TFJS_TORCH_TARGET_PACKED inline void fetch(const T* x) {
  __builtin_prefetch(x, 0, 2);
  if constexpr (sizeof(T) == 4) __builtin_prefetch(x + 16, 0, 2);
}

// Lines along the terms, kTerms of these from `from` on, to two tiles: each line a row of a tile, or a column.
template <typename E, bool transposed, typename T>
TFJS_TORCH_TARGET_PACKED inline void packAlong(const T* from, int64_t distance, int64_t lines, int64_t terms, E* to) {
  for (int64_t tile = 0; tile < 2; ++tile, to += Layout<E>::kTileSize, from += kTile * distance, lines -= kTile) {
    __m512i x[16];
    if (lines > kLines) {
      TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) fetch(from + (kLines + i) * distance);
    }
    if (lines >= kTile) {
      TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) x[i] = loadTerms<E>(from + i * distance, terms);
    } else {
      TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) x[i] = i < lines ? loadTerms<E>(from + i * distance, terms) : _mm512_setzero_si512();
    }
    if constexpr (transposed) transpose(x);
    TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) _mm512_store_si512(to + Layout<E>::kTerms * i, x[i]);
  }
}

// The 16 columns from `half` on of two terms, one beside the other.
TFJS_TORCH_TARGET_PACKED inline __m512i pairs(__m512i even, __m512i odd, int half) {
  const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3,
                                         34, 2, 33, 1, 32, 0);
  return _mm512_permutex2var_epi16(even, _mm512_add_epi16(first, _mm512_set1_epi16(static_cast<int16_t>(half))), odd);
}

// 32 bits of terms for each of the 16 lines from 16·half on; row i of a tile of a right operand.
template <typename E, typename T>
TFJS_TORCH_TARGET_PACKED inline __m512i loadAcross(const T* from, int64_t distance, int64_t lines, int64_t terms, int64_t i, int half) {
  if constexpr (std::is_same_v<E, float>) {
    return i < terms ? loadFloat(from + i * distance + half * kTile, lines - half * kTile) : _mm512_setzero_si512();
  } else {
    const __mmask32 which = firstOf32(lines);
    const __m512i even = 2 * i < terms ? loadBfloat16(from + 2 * i * distance, which) : _mm512_setzero_si512();
    const __m512i odd = 2 * i + 1 < terms ? loadBfloat16(from + (2 * i + 1) * distance, which) : _mm512_setzero_si512();
    return pairs(even, odd, half * static_cast<int>(kTile));
  }
}

// Lines across the terms: kTerms of 32 rows or columns to two tiles, rows of (pairs of) terms, or transposed, rows of rows.
template <typename E, bool transposed, typename T>
TFJS_TORCH_TARGET_PACKED inline void packAcross(const T* from, int64_t distance, int64_t lines, int64_t terms, E* to) {
  constexpr int64_t kTerms = Layout<E>::kTerms;
  if (terms > kTerms) {
    for (int64_t i = kTerms; i < std::min(terms, 2 * kTerms); ++i) fetch(from + i * distance);
  }
  for (int half = 0; half < 2; ++half, to += Layout<E>::kTileSize) {
    if constexpr (transposed) {
      __m512i x[16];
      TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) x[i] = loadAcross<E>(from, distance, lines, terms, i, half);
      transpose(x);
      TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) _mm512_store_si512(to + kTerms * i, x[i]);
    } else {
      for (int64_t i = 0; i < kTile; ++i) _mm512_store_si512(to + kTerms * i, loadAcross<E>(from, distance, lines, terms, i, half));
    }
  }
}

// So many panels of an operand, from the `first` on, and so many of its terms.
struct Section {
  int64_t first, end, term, lastTerm;
};

// Panels of rows (of the left operand) or of columns (of the right) to places `distance` apart.
template <typename E, bool isLeft, typename T>
TFJS_TORCH_TARGET_PACKED inline void pack(const T* data, const Operand& x, const Section& which, E* to, int64_t distance) {
  constexpr int64_t kTerms = Layout<E>::kTerms;
  const int64_t lines = isLeft ? x.rows : x.columns;
  const auto blockAt = [&](int64_t panel, int64_t term) { return to + (panel - which.first) * distance + (term - which.term) * kLines; };
  if (isLeft == x.byRow) {
    for (int64_t panel = which.first; panel < which.end; ++panel) {
      const int64_t line = panel * kLines;
      for (int64_t k = which.term; k < which.lastTerm; k += kTerms) {
        packAlong<E, !isLeft>(data + line * x.distance + k, x.distance, lines - line, which.lastTerm - k, blockAt(panel, k));
      }
    }
    return;
  }
  // Panels lie side by side in memory: a term's values of all of them are read in a row.
  for (int64_t k = which.term; k < which.lastTerm; k += kTerms) {
    for (int64_t panel = which.first; panel < which.end; ++panel) {
      const int64_t line = panel * kLines;
      packAcross<E, isLeft>(data + k * x.distance + line, x.distance, lines - line, which.lastTerm - k, blockAt(panel, k));
    }
  }
}
template <typename E, typename T>
TFJS_TORCH_TARGET_PACKED inline void pack(const T* data, const Operand& x, bool isLeft, const Section& which, E* to, int64_t distance) {
  if (isLeft)
    pack<E, true>(data, x, which, to, distance);
  else
    pack<E, false>(data, x, which, to, distance);
}
template <typename E>
TFJS_TORCH_TARGET_PACKED inline void pack(const Operand& x, bool isLeft, const Section& which, E* to, int64_t distance) {
  if (x.isFloat)
    pack<E>(static_cast<const float*>(x.data), x, isLeft, which, to, distance);
  else
    pack<E>(static_cast<const BFloat16*>(x.data), x, isLeft, which, to, distance);
}

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
