// The product of few tokens' activations and gradients that is an expert's weight gradient. A library's product reads every line
// of its result from memory before it writes it, and leaves the sums of squares to another pass: with tens of tokens an expert
// that takes longer than the arithmetic.
#include "outer_product.h"

#include <algorithm>
#include <vector>

#include "simd.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

namespace tfjs_torch {
namespace {

// A tile of the result stays in registers: 8 rows of two vectors.
constexpr int64_t kRows = 8;
constexpr int64_t kColumns = 32;
constexpr int64_t kMostTerms = 256;

}  // namespace

bool hasOuterProduct(int64_t terms, int64_t rows, int64_t columns) {
  return simdLevel() == 4 && terms <= kMostTerms && rows % kRows == 0 && columns % kColumns == 0;
}

__attribute__((target("arch=x86-64-v4"))) double outerProduct(const float* a, const float* b, int64_t terms, int64_t rows,
                                                              int64_t columns, float* c, float* rowSquares,
                                                              float* columnSquares) {
  // B by tiles, each contiguous.
  std::vector<float> tiles(terms * columns), panel(terms * kRows);
  for (int64_t i = 0; i < terms; ++i) {
    for (int64_t at = 0; at < columns; at += kColumns) {
      std::copy_n(b + i * columns + at, kColumns, tiles.data() + at * terms + i * kColumns);
    }
  }
  std::fill_n(columnSquares, columns, 0.0f);
  double total = 0;
  for (int64_t row = 0; row < rows; row += kRows) {
    for (int64_t i = 0; i < terms; ++i) std::copy_n(a + i * rows + row, kRows, panel.data() + i * kRows);
    __m512 along[kRows];
#pragma GCC unroll 8
    for (int j = 0; j < kRows; ++j) along[j] = _mm512_setzero_ps();
    for (int64_t at = 0; at < columns; at += kColumns) {
      __m512 left[kRows], right[kRows];
#pragma GCC unroll 8
      for (int j = 0; j < kRows; ++j) left[j] = right[j] = _mm512_setzero_ps();
      const float* x = panel.data();
      const float* y = tiles.data() + at * terms;
      for (int64_t i = 0; i < terms; ++i, x += kRows, y += kColumns) {
        const __m512 first = _mm512_loadu_ps(y), second = _mm512_loadu_ps(y + 16);
#pragma GCC unroll 8
        for (int j = 0; j < kRows; ++j) {
          const __m512 factor = _mm512_set1_ps(x[j]);
          left[j] = _mm512_fmadd_ps(factor, first, left[j]);
          right[j] = _mm512_fmadd_ps(factor, second, right[j]);
        }
      }
      __m512 down = _mm512_loadu_ps(columnSquares + at), downRight = _mm512_loadu_ps(columnSquares + at + 16);
      float* const out = c + row * columns + at;
#pragma GCC unroll 8
      for (int j = 0; j < kRows; ++j) {
        _mm512_stream_ps(out + j * columns, left[j]);
        _mm512_stream_ps(out + j * columns + 16, right[j]);
        down = _mm512_fmadd_ps(left[j], left[j], down);
        downRight = _mm512_fmadd_ps(right[j], right[j], downRight);
        along[j] = _mm512_fmadd_ps(left[j], left[j], _mm512_fmadd_ps(right[j], right[j], along[j]));
      }
      _mm512_storeu_ps(columnSquares + at, down);
      _mm512_storeu_ps(columnSquares + at + 16, downRight);
    }
#pragma GCC unroll 8
    for (int j = 0; j < kRows; ++j) total += rowSquares[row + j] = _mm512_reduce_add_ps(along[j]);
  }
  _mm_sfence();
  return total;
}

}  // namespace tfjs_torch

#else

namespace tfjs_torch {

bool hasOuterProduct(int64_t, int64_t, int64_t) { return false; }

double outerProduct(const float*, const float*, int64_t, int64_t, int64_t, float*, float*, float*) { return -1; }

}  // namespace tfjs_torch

#endif
