#include "cpu/gemm/fp16/fp16_gemm.h"

#include <algorithm>
#include <cmath>

#include "cpu/cpu_features.h"
#include "cpu/gemm/fp16/panels.h"
#include "cpu/tasks.h"

#ifdef TFJS_TORCH_FP16

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::half {
namespace {

// Terms that are added up one by one in half precision, and how many of them join such sums: at most 128·16·16 = 32,768 of its 65,504.
constexpr int64_t kChain = 32, kGroup = 128;
// Terms of a panel of b that stay in the first cache: 32 KB.
constexpr int64_t kDepth = 128;
// Terms that are packed at a time.
constexpr int64_t kTerms = 1024;
// Panels multiplied at a time: 96 rows, 256 columns. Their sums and operands stay in the second cache.
constexpr int64_t kRowPanels = 8, kColumnPanels = 2;
// At least so many tasks a thread, where there are enough panels.
constexpr int64_t kTasks = 8;

// A tile [6, 128], its rows `distance` apart.
struct Tile {
  float* data;
  int64_t distance;
};

// tile ← scale·a·b over so many terms, or tile + that.
TFJS_TORCH_TARGET_FP16 void multiply(const uint32_t* a, const Half* b, int64_t terms, bool add, float scale, Tile tile) {
  alignas(64) Half halves[kTileRows][kColumns];
  const __m512 scales = _mm512_set1_ps(scale);
  for (int64_t begin = 0; begin < terms; begin += kChain) {
    const int64_t chain = std::min(kChain, terms - begin);
    __m512h sum[kTileRows][kVectors];
    TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) TFJS_TORCH_UNROLL for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = _mm512_setzero_ph();
    }
    for (int64_t k = 0; k < chain; ++k, a += kTileRows, b += kColumns) {
      __m512h values[kVectors];
      TFJS_TORCH_UNROLL for (int v = 0; v < kVectors; ++v) values[v] = _mm512_loadu_ph(b + 32 * v);
      TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) {
        const __m512h x = _mm512_castsi512_ph(_mm512_set1_epi32(static_cast<int>(a[i])));
        TFJS_TORCH_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_fmadd_ph(x, values[v], sum[i][v]);
      }
    }
    if (begin % kGroup != 0) {
      TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) TFJS_TORCH_UNROLL for (int v = 0; v < kVectors; ++v) {
        sum[i][v] = _mm512_add_ph(sum[i][v], _mm512_load_ph(halves[i] + 32 * v));
      }
    }
    TFJS_TORCH_UNROLL for (int i = 0; i < kTileRows; ++i) TFJS_TORCH_UNROLL for (int v = 0; v < kVectors; ++v)
        _mm512_store_ph(halves[i] + 32 * v, sum[i][v]);
    asm volatile("" : : "r"(halves) : "memory");
    if ((begin + chain) % kGroup != 0 && begin + chain < terms) continue;
    // Converted from memory: loading and converting is one step, taking half a register and converting it are three.
    for (int i = 0; i < kTileRows; ++i) {
      float* const to = tile.data + i * tile.distance;
      TFJS_TORCH_UNROLL for (int c = 0; c < kColumns; c += 16) {
        const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(halves[i] + c));
        const __m512 old = _mm512_maskz_loadu_ps(add ? 0xffff : 0, to + c);
        _mm512_storeu_ps(to + c, _mm512_fmadd_ps(_mm512_cvtxph_ps(_mm256_castsi256_ph(x)), scales, old));
      }
    }
    add = true;
  }
}

// out's so many values at `at` ← sums·first·second, or out + that.
TFJS_TORCH_TARGET_FP16 void writeRow(const float* sums, int64_t n, float first, float second, const Bfloat16Result& out, int64_t at) {
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
        const __m512i inFloat = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(which, to)), 16);
        x = _mm512_add_ps(x, _mm512_castsi512_ps(inFloat));
      }
      _mm256_mask_storeu_epi16(to, which, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
  }
}

// out [m, n] ← left·right, for panels of both from the ranges' first ones on.
void multiplyPanels(const uint32_t* left, Range rows, const Half* right, Range columns, int64_t terms, int64_t m, int64_t n,
                    const Bfloat16Result& out) {
  constexpr int64_t width = kColumnPanels * kColumns;
  alignas(64) float sums[kRowPanels * kRows * width];
  const auto leftPanel = [&](int64_t i) { return left + (i - rows.begin) * leftSize(terms); };
  const auto rightPanel = [&](int64_t j) { return right + (j - columns.begin) * rightSize(terms); };
  const auto rowScale = [&](int64_t i) { return *reinterpret_cast<const float*>(leftPanel(i)); };
  const auto columnScale = [&](int64_t j) { return *reinterpret_cast<const float*>(rightPanel(j)); };
  // Sums of few terms go to the result at once, where all of a panel's rows and columns are in it.
  const auto atOnce = [&](int64_t i, int64_t j) {
    return out.isFloat && terms <= kDepth && (i + 1) * kRows <= m && (j + 1) * kColumns <= n && std::isnormal(rowScale(i) * columnScale(j));
  };
  for (int64_t row = rows.begin; row < rows.end; row += kRowPanels) {
    for (int64_t column = columns.begin; column < columns.end; column += kColumnPanels) {
      const int64_t rowEnd = std::min(row + kRowPanels, rows.end), columnEnd = std::min(column + kColumnPanels, columns.end);
      const auto sumsOf = [&](int64_t i, int64_t j) { return sums + (i - row) * kRows * width + (j - column) * kColumns; };
      const auto resultOf = [&](int64_t i, int64_t j) { return static_cast<float*>(out.data) + i * kRows * out.distance + j * kColumns; };
      for (int64_t k = 0; k < terms; k += kDepth) {
        for (int64_t j = column; j < columnEnd; ++j) {
          for (int64_t i = row; i < rowEnd; ++i) {
            const bool direct = atOnce(i, j);
            const Tile tile = direct ? Tile{resultOf(i, j), out.distance} : Tile{sumsOf(i, j), width};
            for (int64_t half = 0; half < 2; ++half) {
              multiply(leftPanel(i) + kLine / 4 + (half * termRoom(terms) + k) * kTileRows, rightPanel(j) + kLine / 2 + k * kColumns,
                       std::min(kDepth, terms - k), direct ? out.add : k > 0, direct ? rowScale(i) * columnScale(j) : 1,
                       {tile.data + half * kTileRows * tile.distance, tile.distance});
            }
          }
        }
      }
      for (int64_t i = row; i < rowEnd; ++i) {
        for (int64_t j = column; j < columnEnd; ++j) {
          if (atOnce(i, j)) continue;
          for (int64_t r = 0; r < std::min(kRows, m - i * kRows); ++r) {
            writeRow(sumsOf(i, j) + r * width, std::min(kColumns, n - j * kColumns), rowScale(i), columnScale(j), out,
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
void multiplyTerms(const Bfloat16Lines& a, const Bfloat16Lines& b, const Bfloat16Result& out, Buffers& buffers) {
  const int64_t terms = a.columns;
  const Range rows{0, panels(a.rows, kRows)}, columns{0, panels(b.columns, kColumns)};
  const int64_t workers = workersHere();
  const bool shareLeft = rows.end * kRows * 2 <= columns.end * kColumns;
  const int64_t own = shareLeft ? columns.end : rows.end;
  const int64_t block = std::clamp<int64_t>(own / (kTasks * workers), 1, shareLeft ? kColumnPanels : kRowPanels);
  uint32_t* const left = roomFor<uint32_t>(buffers.left, (shareLeft ? rows.end : workers * block) * leftSize(terms));
  Half* const right = roomFor<Half>(buffers.right, (shareLeft ? workers * block : columns.end) * rightSize(terms));
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

Bfloat16Lines termsOf(const Bfloat16Lines& x, bool isLeft, int64_t begin, int64_t count) {
  Bfloat16Lines part = x;
  (isLeft ? part.columns : part.rows) = count;
  part.data += isLeft == x.byRow ? begin : begin * x.distance;
  return part;
}

}  // namespace

bool isAvailable() {
  const CpuFeatures cpu = cpuFeatures();
  return cpu.fp16 && cpu.bf16 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

void multiply(const Bfloat16Lines& a, Bfloat16Panels& aPanels, const Bfloat16Lines& b, Bfloat16Panels& bPanels, Columns which,
              const Bfloat16Result& out) {
  const int64_t terms = a.columns;
  const Range rows{0, panels(a.rows, kRows)}, columns{0, panels(b.columns, kColumns)};
  uint32_t* const left = roomFor<uint32_t>(aPanels.left, rows.end * leftSize(terms));
  Half* const right = roomFor<Half>(bPanels.right, columns.end * rightSize(terms));
  if (!aPanels.hasLeft) packLeft(a, rows, left);
  if (!bPanels.hasRight) packRight(b, columns, right);
  aPanels.hasLeft = bPanels.hasRight = true;
  const int64_t count = which.end - which.begin;
  multiplyPanels(left, rows, right + which.begin / kColumns * rightSize(terms), {0, panels(count, kColumns)}, terms, a.rows, count, out);
}

void multiply(const Bfloat16Lines& left, const Bfloat16Lines& right, const Bfloat16Result& whole) {
  Buffers buffers;
  if (left.columns <= kTerms) return multiplyTerms(left, right, whole, buffers);
  // Parts of the terms, added up in float32.
  at::Tensor sums = at::empty({left.rows, right.columns}, at::TensorOptions().dtype(at::kFloat));
  Bfloat16Result part{sums.mutable_data_ptr(), right.columns, true, false};
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

}  // namespace tfjs_torch::half
TFJS_TORCH_INTRINSICS_END

#else

namespace tfjs_torch::half {

bool isAvailable() { return false; }
void multiply(const Bfloat16Lines&, const Bfloat16Lines&, const Bfloat16Result&) { TORCH_CHECK(false, "not in this build"); }
void multiply(const Bfloat16Lines&, Bfloat16Panels&, const Bfloat16Lines&, Bfloat16Panels&, Columns, const Bfloat16Result&) {
  TORCH_CHECK(false, "not in this build");
}

}  // namespace tfjs_torch::half

#endif
