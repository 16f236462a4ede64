#include "half_products.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "tasks.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#include <cpuid.h>
#include <immintrin.h>

// GCC 12's intrinsics leave vectors undefined on purpose.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#define FP16 __attribute__((target("arch=x86-64-v4,avx512fp16,avx512bf16")))
#define UNROLL _Pragma("GCC unroll 16")

namespace tfjs_torch {
namespace {

using Half = _Float16;

// A tile of the result: 6 rows by 4 vectors, which leaves registers for four of b and some of a. Taller and narrower ones load more often:
// 12 by 2 is as fast on a core of its own, and a fifth slower beside another thread.
constexpr int64_t kTileRows = 6, kVectors = 4;
// A panel of a has the rows of two tiles, one of b the columns of one.
constexpr int64_t kRows = 2 * kTileRows, kColumns = 32 * kVectors;
// Terms whose sum stays in half precision: at most 32·32·32 = 32,768 of half precision's 65,504.
constexpr int64_t kChain = 32;
// Terms of a panel of b that stay in the first cache: 24 KB.
constexpr int64_t kDepth = 96;
// Terms that are packed at a time.
constexpr int64_t kTerms = 1024;
// Panels multiplied at a time: 96 rows, 256 columns. Their sums and operands stay in the second cache.
constexpr int64_t kRowPanels = 8, kColumnPanels = 2;
// At least so many tasks a thread, where there are enough panels.
constexpr int64_t kTasks = 8;

int64_t panels(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Panels `begin` to `end` of an operand.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// A packed panel begins with a line for what its values are to be multiplied with at last, a power of two.
constexpr int64_t kLine = 64;
int64_t leftSize(int64_t terms) { return kLine / 4 + kRows * terms; }
int64_t rightSize(int64_t terms) { return kLine / 2 + kColumns * terms; }

__mmask32 firstOf32(int64_t n) { return n >= 32 ? ~0u : (1u << n) - 1; }
__mmask16 firstOf16(int64_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << std::max<int64_t>(n, 0)) - 1); }

// 16 values, or the first so many of them and 0.
FP16 inline __m256i half16(const c10::BFloat16* x, __mmask16 which, __m512 scale) {
  const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(which, x)), 16);
  return _mm256_castph_si256(_mm512_cvtxps_ph(_mm512_mul_ps(_mm512_castsi512_ps(wide), scale)));
}

float powerOfTwo(int exponent) { return std::bit_cast<float>((exponent + 127) << 23); }

// The larger of each two magnitudes, without their signs' bits and all but finite ones.
FP16 inline __m512i larger(__m512i most, __m512i values) {
  const __m512i magnitude = _mm512_slli_epi16(values, 1), infinity = _mm512_set1_epi16(static_cast<short>(0xff00));
  return _mm512_mask_max_epu16(most, _mm512_cmplt_epu16_mask(magnitude, infinity), most, magnitude);
}

// The exponent that brings the largest magnitude to [16, 32). Infinities and what is no number come through as such.
// The values: `lines` of `length`, `distance` apart.
FP16 int scaleOf(const c10::BFloat16* x, int64_t lines, int64_t length, int64_t distance) {
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
FP16 void packBesides(const NarrowLines& a, Range which, uint32_t* to) {
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
FP16 void packRows(const NarrowLines& a, int64_t row, uint32_t* to) {
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
FP16 void packColumns(const NarrowLines& b, int64_t column, Half* to) {
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

// tile [6, 128], its rows `distance` apart, ← a·b over so many terms, or tile + a·b.
FP16 void multiply(const uint32_t* a, const Half* b, int64_t terms, bool add, float* tile, int64_t distance) {
  for (int64_t begin = 0; begin < terms; begin += kChain, add = true) {
    const int64_t chain = std::min(kChain, terms - begin);
    __m512h sum[kTileRows][kVectors];
    UNROLL for (int i = 0; i < kTileRows; ++i) UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_setzero_ph();
    for (int64_t k = 0; k < chain; ++k, a += kTileRows, b += kColumns) {
      __m512h values[kVectors];
      UNROLL for (int v = 0; v < kVectors; ++v) values[v] = _mm512_loadu_ph(b + 32 * v);
      UNROLL for (int i = 0; i < kTileRows; ++i) {
        const __m512h x = _mm512_castsi512_ph(_mm512_set1_epi32(static_cast<int>(a[i])));
        UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_fmadd_ph(x, values[v], sum[i][v]);
      }
    }
    // Through memory: loading and widening is one step, taking a register's half and widening it are three.
    alignas(64) Half halves[kTileRows][kColumns];
    UNROLL for (int i = 0; i < kTileRows; ++i) UNROLL for (int v = 0; v < kVectors; ++v) _mm512_store_ph(halves[i] + 32 * v, sum[i][v]);
    asm volatile("" : : "r"(halves) : "memory");
    for (int i = 0; i < kTileRows; ++i) {
      float* const to = tile + i * distance;
      UNROLL for (int c = 0; c < kColumns; c += 16) {
        const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(halves[i] + c));
        const __m512 old = _mm512_maskz_loadu_ps(add ? 0xffff : 0, to + c);
        _mm512_storeu_ps(to + c, _mm512_add_ps(old, _mm512_cvtxph_ps(_mm256_castsi256_ph(x))));
      }
    }
  }
}

// out's so many values at `at` ← sums·first·second, or out + that.
FP16 void writeRow(const float* sums, int64_t n, float first, float second, const HalfResult& out, int64_t at) {
  // The smaller factor first: the other alone could lead to infinity.
  const __m512 small = _mm512_set1_ps(std::min(first, second)), large = _mm512_set1_ps(std::max(first, second));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 which = firstOf16(n - i);
    __m512 x = _mm512_mul_ps(_mm512_mul_ps(_mm512_maskz_loadu_ps(which, sums + i), small), large);
    if (out.isFloat) {
      float* const to = static_cast<float*>(out.data) + at + i;
      if (out.add) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(which, to));
      _mm512_mask_storeu_ps(to, which, x);
    } else {
      c10::BFloat16* const to = static_cast<c10::BFloat16*>(out.data) + at + i;
      if (out.add) {
        const __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(which, to)), 16);
        x = _mm512_add_ps(x, _mm512_castsi512_ps(wide));
      }
      _mm256_mask_storeu_epi16(to, which, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
  }
}

void packLeft(const NarrowLines& a, Range which, uint32_t* to) {
  if (!a.byRow) return packBesides(a, which, to);
  for (int64_t i = which.begin; i < which.end; ++i, to += leftSize(a.columns)) packRows(a, i * kRows, to);
}

void packRight(const NarrowLines& b, Range which, Half* to) {
  for (int64_t j = which.begin; j < which.end; ++j, to += rightSize(b.rows)) packColumns(b, j * kColumns, to);
}

template <typename T>
T* room(at::Tensor& buffer, int64_t count) {
  const auto bytes = static_cast<int64_t>(count * sizeof(T));
  if (!buffer.defined() || buffer.numel() < bytes) buffer = at::empty({bytes}, at::TensorOptions().dtype(at::kByte));
  return reinterpret_cast<T*>(buffer.mutable_data_ptr());
}

// out [m, n] ← left·right, for panels of both from the ranges' first ones on.
void multiplyPanels(const uint32_t* left, Range rows, const Half* right, Range columns, int64_t terms, int64_t m, int64_t n,
                    const HalfResult& out) {
  constexpr int64_t width = kColumnPanels * kColumns;
  alignas(64) float sums[kRowPanels * kRows * width];
  const auto leftPanel = [&](int64_t i) { return left + (i - rows.begin) * leftSize(terms); };
  const auto rightPanel = [&](int64_t j) { return right + (j - columns.begin) * rightSize(terms); };
  for (int64_t row = rows.begin; row < rows.end; row += kRowPanels) {
    for (int64_t column = columns.begin; column < columns.end; column += kColumnPanels) {
      const int64_t rowEnd = std::min(row + kRowPanels, rows.end), columnEnd = std::min(column + kColumnPanels, columns.end);
      const auto tile = [&](int64_t i, int64_t j) { return sums + (i - row) * kRows * width + (j - column) * kColumns; };
      for (int64_t k = 0; k < terms; k += kDepth) {
        for (int64_t j = column; j < columnEnd; ++j) {
          for (int64_t i = row; i < rowEnd; ++i) {
            for (int64_t half = 0; half < 2; ++half) {
              multiply(leftPanel(i) + kLine / 4 + (half * terms + k) * kTileRows, rightPanel(j) + kLine / 2 + k * kColumns,
                       std::min(kDepth, terms - k), k > 0, tile(i, j) + half * kTileRows * width, width);
            }
          }
        }
      }
      for (int64_t i = row; i < rowEnd; ++i) {
        const float first = *reinterpret_cast<const float*>(leftPanel(i));
        for (int64_t r = 0; r < std::min(kRows, m - i * kRows); ++r) {
          for (int64_t j = column; j < columnEnd; ++j) {
            const float second = *reinterpret_cast<const float*>(rightPanel(j));
            writeRow(tile(i, j) + r * width, std::min(kColumns, n - j * kColumns), first, second, out,
                     (i * kRows + r) * out.distance + j * kColumns);
          }
        }
      }
    }
  }
}

struct Buffers {
  at::Tensor left, right;
};

// The smaller operand is packed once for all threads, the larger one by the thread that multiplies with it, while it is in its cache.
void multiplyTerms(const NarrowLines& a, const NarrowLines& b, const HalfResult& out, Buffers& buffers) {
  const int64_t terms = a.columns;
  const Range rows{0, panels(a.rows, kRows)}, columns{0, panels(b.columns, kColumns)};
  const int64_t workers = workersHere();
  const bool shareLeft = rows.end * kRows * 2 <= columns.end * kColumns;
  const int64_t own = shareLeft ? columns.end : rows.end;
  const int64_t block = std::clamp<int64_t>(own / (kTasks * workers), 1, shareLeft ? kColumnPanels : kRowPanels);
  uint32_t* const left = room<uint32_t>(buffers.left, (shareLeft ? rows.end : workers * block) * leftSize(terms));
  Half* const right = room<Half>(buffers.right, (shareLeft ? workers * block : columns.end) * rightSize(terms));
  if (shareLeft) {
    forTasks(panels(rows.end, kRowPanels), [&](int64_t, int64_t task) {
      packLeft(a, {task * kRowPanels, std::min((task + 1) * kRowPanels, rows.end)}, left + task * kRowPanels * leftSize(terms));
    });
  } else {
    forTasks(columns.end, [&](int64_t, int64_t task) { packRight(b, {task, task + 1}, right + task * rightSize(terms)); });
  }
  forTasks(panels(own, block), [&](int64_t worker, int64_t task) {
    const Range which{task * block, std::min((task + 1) * block, own)};
    if (shareLeft) {
      Half* const mine = right + worker * block * rightSize(terms);
      packRight(b, which, mine);
      multiplyPanels(left, rows, mine, which, terms, a.rows, b.columns, out);
    } else {
      uint32_t* const mine = left + worker * block * leftSize(terms);
      packLeft(a, which, mine);
      multiplyPanels(mine, which, right, columns, terms, a.rows, b.columns, out);
    }
  });
}

NarrowLines linesOf(const at::Tensor& x) {
  const bool byRow = x.stride(1) == 1;
  return {x.const_data_ptr<at::BFloat16>(), x.size(0), x.size(1), x.stride(byRow ? 0 : 1), byRow};
}

NarrowLines termsOf(const NarrowLines& x, bool isLeft, int64_t begin, int64_t count) {
  NarrowLines part = x;
  (isLeft ? part.columns : part.rows) = count;
  part.data += isLeft == x.byRow ? begin : begin * x.distance;
  return part;
}

}  // namespace

bool hasHalfProducts() {
  static const bool has = [] {
    const char* const setting = std::getenv("TFJS_TORCH_HALF_PRODUCTS");
    if (setting != nullptr && std::strcmp(setting, "0") == 0) return false;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    const bool fp16 = (d & (1u << 23)) != 0, amx = (d & (1u << 22)) != 0;
    const bool bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 5)) != 0;
    return fp16 && bf16 && !amx && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }();
  return has;
}

void halfProduct(const NarrowLines& a, HalfPanels& aPanels, const NarrowLines& b, HalfPanels& bPanels, const HalfResult& out) {
  const int64_t terms = a.columns;
  const Range rows{0, panels(a.rows, kRows)}, columns{0, panels(b.columns, kColumns)};
  uint32_t* const left = room<uint32_t>(aPanels.left, rows.end * leftSize(terms));
  Half* const right = room<Half>(bPanels.right, columns.end * rightSize(terms));
  if (!aPanels.hasLeft) packLeft(a, rows, left);
  if (!bPanels.hasRight) packRight(b, columns, right);
  aPanels.hasLeft = bPanels.hasRight = true;
  multiplyPanels(left, rows, right, columns, terms, a.rows, b.columns, out);
}

void halfProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add) {
  const auto isMatrix = [](const at::Tensor& x) { return x.dim() == 2 && x.scalar_type() == at::kBFloat16; };
  TORCH_CHECK(isMatrix(a) && isMatrix(b) && a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1) &&
                  out.stride(1) == 1,
              "out [m, n] of a [m, k] and b [k, n] expected");
  const auto withLines = [](const at::Tensor& x) { return x.stride(1) == 1 || x.stride(0) == 1 ? x : x.contiguous(); };
  const at::Tensor first = withLines(a), second = withLines(b);
  const NarrowLines left = linesOf(first), right = linesOf(second);
  const HalfResult whole{out.mutable_data_ptr(), out.stride(0), out.scalar_type() == at::kFloat, add};
  Buffers buffers;
  if (left.columns <= kTerms) return multiplyTerms(left, right, whole, buffers);
  // Parts of the terms, added up in float32.
  at::Tensor sums = at::empty({left.rows, right.columns}, at::TensorOptions().dtype(at::kFloat));
  HalfResult part{sums.mutable_data_ptr(), right.columns, true, false};
  for (int64_t k = 0; k < left.columns; k += kTerms, part.add = true) {
    const int64_t count = std::min(kTerms, left.columns - k);
    multiplyTerms(termsOf(left, true, k, count), termsOf(right, false, k, count), part, buffers);
  }
  at::parallel_for(0, left.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      writeRow(sums.const_data_ptr<float>() + r * right.columns, right.columns, 1, 1, whole, r * whole.distance);
    }
  });
}

}  // namespace tfjs_torch

#else

namespace tfjs_torch {

bool hasHalfProducts() { return false; }
void halfProduct(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool) { TORCH_CHECK(false, "not in this build"); }
void halfProduct(const NarrowLines&, HalfPanels&, const NarrowLines&, HalfPanels&, const HalfResult&) {
  TORCH_CHECK(false, "not in this build");
}

}  // namespace tfjs_torch

#endif
