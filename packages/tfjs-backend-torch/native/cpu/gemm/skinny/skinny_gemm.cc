// A library's product reads a matrix only when it comes to it, and every line of its result before it writes it; the sums of squares
// would be another pass. With tens of tokens an expert that takes longer than the arithmetic. These fetch the next rows of the matrix
// while they multiply with the present ones, and write past the caches.
#include "cpu/gemm/skinny/skinny_gemm.h"

#include <algorithm>
#include <vector>

#include "cpu/simd.h"
#include "cpu/target.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch {
namespace {

constexpr int64_t kMostRows = 64;
// Sides of all matrices are multiples of it.
constexpr int64_t kSide = 64;
constexpr int64_t kVector = 16;

int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// x with rows of 0 up to a multiple of `unit`.
std::vector<float> padded(const float* x, int64_t n, int64_t width, int64_t unit) {
  std::vector<float> all(roundUp(n, unit) * width);
  std::copy_n(x, n * width, all.data());
  return all;
}

// The sums of eight vectors.
TFJS_TORCH_TARGET_AVX512 inline __m256 sums(const __m512* x) {
  __m256 half[8];
  TFJS_TORCH_UNROLL for (int j = 0; j < 8; ++j) half[j] = _mm256_add_ps(_mm512_castps512_ps256(x[j]), _mm512_extractf32x8_ps(x[j], 1));
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(half[4], half[5]), _mm256_hadd_ps(half[6], half[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

// fromFloat()'s rounding.
TFJS_TORCH_TARGET_AVX512 inline __m256i toBfloat16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __mmask16 noNumber = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, noNumber, _mm512_set1_epi32(0x7fc0)));
}
// out's 32 values at `at`, past the caches.
TFJS_TORCH_TARGET_AVX512 inline void stream(Matrix out, int64_t at, __m512 left, __m512 right) {
  if (out.isBfloat16) {
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(toBfloat16(left)), toBfloat16(right), 1);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(static_cast<c10::BFloat16*>(out.data) + at), both);
  } else {
    _mm512_stream_ps(static_cast<float*>(out.data) + at, left);
    _mm512_stream_ps(static_cast<float*>(out.data) + at + 16, right);
  }
}

// Fetches memory line after line, so many each time.
struct Ahead {
  const float* at;
  int64_t lines;
  [[gnu::always_inline]] inline void fetch() {
    for (int64_t i = 0; i < lines; ++i, at += kVector) __builtin_prefetch(at, 0, 2);
  }
};

}  // namespace

bool hasFewRows(int64_t rows, int64_t side, int64_t otherSide) {
  return simdLevel() == 4 && rows <= kMostRows && side % kSide == 0 && otherSide % kSide == 0;
}

TFJS_TORCH_TARGET_AVX512 void fewRowsTimesTransposed(const float* given, const float* w, int64_t n, int64_t outputs, int64_t inputs,
                                                     float* y) {
  // In registers: 3 rows of x by 8 of W.
  constexpr int64_t rows = 3, columns = 8;
  const std::vector<float> x = padded(given, n, inputs, rows);
  const int64_t groups = roundUp(n, rows) / rows;
  for (int64_t c = 0; c < outputs; c += columns) {
    Ahead ahead{w + (c + columns) * inputs, (columns + groups - 1) / std::max<int64_t>(groups, 1)};
    if (c + columns >= outputs) ahead.lines = 0;
    for (int64_t r = 0; r < n; r += rows) {
      __m512 sum[rows][columns];
      TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) TFJS_TORCH_UNROLL for (int j = 0; j < columns; ++j) sum[i][j] = _mm512_setzero_ps();
      const float* const xs = x.data() + r * inputs;
      const float* const ws = w + c * inputs;
      for (int64_t k = 0; k < inputs; k += kVector) {
        ahead.fetch();
        __m512 values[rows];
        TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) values[i] = _mm512_loadu_ps(xs + i * inputs + k);
        TFJS_TORCH_UNROLL for (int j = 0; j < columns; ++j) {
          const __m512 weight = _mm512_loadu_ps(ws + j * inputs + k);
          TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) sum[i][j] = _mm512_fmadd_ps(values[i], weight, sum[i][j]);
        }
      }
      TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) {
        if (r + i < n) _mm256_storeu_ps(y + (r + i) * outputs + c, sums(sum[i]));
      }
    }
  }
}

TFJS_TORCH_TARGET_AVX512 void fewRowsTimes(const float* given, const float* w, int64_t n, int64_t inputs, int64_t outputs, bool add,
                                           float* result) {
  // In registers: 6 rows of 4 vectors of y, which take in 16 rows of W at a time.
  constexpr int64_t rows = 6, vectors = 4, terms = 16;
  const std::vector<float> x = padded(given, n, inputs, rows);
  std::vector<float> y = padded(result, add ? n : 0, outputs, rows);
  y.resize(roundUp(n, rows) * outputs);
  const int64_t groups = roundUp(n, rows) / rows;
  for (int64_t k = 0; k < inputs; k += terms) {
    Ahead ahead{w + (k + terms) * outputs, (vectors + groups - 1) / std::max<int64_t>(groups, 1)};
    if (k + terms >= inputs) ahead.lines = 0;
    for (int64_t c = 0; c < outputs; c += vectors * kVector) {
      for (int64_t r = 0; r < n; r += rows) {
        float* const ys = y.data() + r * outputs + c;
        __m512 sum[rows][vectors];
        TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) {
          TFJS_TORCH_UNROLL for (int j = 0; j < vectors; ++j) sum[i][j] = _mm512_loadu_ps(ys + i * outputs + j * kVector);
        }
        for (int64_t t = k; t < k + terms; ++t) {
          ahead.fetch();
          __m512 weights[vectors];
          TFJS_TORCH_UNROLL for (int j = 0; j < vectors; ++j) weights[j] = _mm512_loadu_ps(w + t * outputs + c + j * kVector);
          TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) {
            const __m512 value = _mm512_set1_ps(x[(r + i) * inputs + t]);
            TFJS_TORCH_UNROLL for (int j = 0; j < vectors; ++j) sum[i][j] = _mm512_fmadd_ps(value, weights[j], sum[i][j]);
          }
        }
        TFJS_TORCH_UNROLL for (int i = 0; i < rows; ++i) {
          TFJS_TORCH_UNROLL for (int j = 0; j < vectors; ++j) _mm512_storeu_ps(ys + i * outputs + j * kVector, sum[i][j]);
        }
      }
    }
  }
  std::copy_n(y.data(), n * outputs, result);
}

TFJS_TORCH_TARGET_AVX512 double outerProduct(const float* a, const float* b, int64_t terms, int64_t rows, int64_t columns, Matrix c,
                                             float* rowSquares, float* columnSquares) {
  // In registers: 8 rows of two vectors.
  constexpr int64_t kRows = 8, kColumns = 2 * kVector;
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
    TFJS_TORCH_UNROLL for (int j = 0; j < kRows; ++j) along[j] = _mm512_setzero_ps();
    for (int64_t at = 0; at < columns; at += kColumns) {
      __m512 left[kRows], right[kRows];
      TFJS_TORCH_UNROLL for (int j = 0; j < kRows; ++j) left[j] = right[j] = _mm512_setzero_ps();
      const float* x = panel.data();
      const float* y = tiles.data() + at * terms;
      for (int64_t i = 0; i < terms; ++i, x += kRows, y += kColumns) {
        const __m512 first = _mm512_loadu_ps(y), second = _mm512_loadu_ps(y + 16);
        TFJS_TORCH_UNROLL for (int j = 0; j < kRows; ++j) {
          const __m512 factor = _mm512_set1_ps(x[j]);
          left[j] = _mm512_fmadd_ps(factor, first, left[j]);
          right[j] = _mm512_fmadd_ps(factor, second, right[j]);
        }
      }
      __m512 down = _mm512_loadu_ps(columnSquares + at), downRight = _mm512_loadu_ps(columnSquares + at + 16);
      TFJS_TORCH_UNROLL for (int j = 0; j < kRows; ++j) {
        stream(c, (row + j) * columns + at, left[j], right[j]);
        down = _mm512_fmadd_ps(left[j], left[j], down);
        downRight = _mm512_fmadd_ps(right[j], right[j], downRight);
        along[j] = _mm512_fmadd_ps(left[j], left[j], _mm512_fmadd_ps(right[j], right[j], along[j]));
      }
      _mm512_storeu_ps(columnSquares + at, down);
      _mm512_storeu_ps(columnSquares + at + 16, downRight);
    }
    _mm256_storeu_ps(rowSquares + row, sums(along));
    for (int64_t j = 0; j < kRows; ++j) total += rowSquares[row + j];
  }
  _mm_sfence();
  return total;
}

}  // namespace tfjs_torch
TFJS_TORCH_INTRINSICS_END

#else

namespace tfjs_torch {

bool hasFewRows(int64_t, int64_t, int64_t) { return false; }
void fewRowsTimesTransposed(const float*, const float*, int64_t, int64_t, int64_t, float*) {}
void fewRowsTimes(const float*, const float*, int64_t, int64_t, int64_t, bool, float*) {}
double outerProduct(const float*, const float*, int64_t, int64_t, int64_t, Matrix, float*, float*) { return -1; }

}  // namespace tfjs_torch

#endif
