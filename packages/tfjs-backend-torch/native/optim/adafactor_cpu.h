#pragma once

// Adafactor of one matrix on the CPU, in passes over its rows: of values and of gradients where their sums of squares are not known,
// then of updates, then in place.

#include <ATen/Parallel.h>

#include <numeric>
#include <optional>
#include <vector>

#include "cpu/simd.h"

namespace tfjs_torch {

// src/ops/optimizers/adafactor.ts has the same.
inline constexpr float kEpsilonGradient = 1e-30f;
inline constexpr double kEpsilonParameter = 1e-3;
inline constexpr double kClippingThreshold = 1;

// Sums of float32 go this far before they are added up in a wider or another one.
inline constexpr int64_t kFewRows = 32;
inline constexpr int64_t kFewColumns = 512;

struct AdafactorMatrix {
  float* value;
  const void* gradient;
  bool isBfloat16;
  float* first;   // row moments, or all of them
  float* second;  // column moments, null where not factored
  int64_t rows, columns;
  double* squares;  // Σ value², negative where unknown; of the new values afterwards
  // Σ gradient² by row and by column, null where unknown.
  const float *rowSquares, *columnSquares;

  int64_t size() const { return rows * columns; }
};

struct AdafactorRates {
  double learningRate;
  float beta;
  float scale;  // of gradients
};

template <typename T>
[[gnu::always_inline]] inline double sumOfSquaresOf(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t from = 0; from < n; from += kFewColumns) {
    const int64_t to = std::min(from + kFewColumns, n);
    float square = 0;
#pragma omp simd reduction(+ : square)
    for (int64_t c = from; c < to; ++c) square += toFloat(x[c]) * toFloat(x[c]);
    sum += square;
  }
  return sum;
}

// Fetches a row that is soon to be worked on: where rows come last to first, or values and gradients in turn, the CPU does not foresee it.
template <typename T>
[[gnu::always_inline]] inline void fetchRow(const T* row, int64_t n) {
  const auto* const bytes = reinterpret_cast<const char*>(row);
  for (int64_t at = 0; at < n * static_cast<int64_t>(sizeof(T)); at += 64) __builtin_prefetch(bytes + at, 0, 2);
}
// How many rows before.
inline constexpr int64_t kRowsAhead = 4;

template <typename G>
struct AdafactorStep {
  const AdafactorMatrix& m;
  const AdafactorRates& rates;
  const G* g;

  // Σ value² of rows [begin, end).
  [[gnu::always_inline]] inline double values(int64_t begin, int64_t end) const {
    double sum = 0;
    for (int64_t r = begin; r < end; ++r) sum += sumOfSquaresOf(m.value + r * m.columns, m.columns);
    return sum;
  }

  // Where not factored: moments of rows [begin, end). Returns Σ update².
  [[gnu::always_inline]] inline double moments(int64_t begin, int64_t end) const {
    // The compiler makes vectors of the loop where it reads nothing that v might overlap.
    const float beta = rates.beta, rest = 1 - beta, scale = rates.scale;
    const int64_t last = end * m.columns;
    const G* const gradient = g;
    float* const v = m.first;
    double sum = 0;
    for (int64_t from = begin * m.columns; from < last; from += kFewColumns) {
      const int64_t to = std::min(from + kFewColumns, last);
      float square = 0;
#pragma omp simd reduction(+ : square)
      for (int64_t c = from; c < to; ++c) {
        const float x = toFloat(gradient[c]) * scale, moment = v[c] * beta + (x * x + kEpsilonGradient) * rest;
        v[c] = moment;
        square += x * x / moment;
      }
      sum += square;
    }
    return sum;
  }

  // Σ gradient² of rows [begin, end): by row, and by column added to `columns` by way of sums over a few rows in `few`.
  [[gnu::always_inline]] inline void gradients(int64_t begin, int64_t end, float* rows, float* columns, float* few) const {
    const int64_t n = m.columns;
    for (int64_t r = begin; r < end; ++r) {
      const G* const gr = g + r * n;
      double sum = 0;
      for (int64_t from = 0; from < n; from += kFewColumns) {
        const int64_t to = std::min(from + kFewColumns, n);
        float square = 0;
#pragma omp simd reduction(+ : square)
        for (int64_t c = from; c < to; ++c) {
          const float x = toFloat(gr[c]);
          few[c] += x * x;
          square += x * x;
        }
        sum += square;
      }
      rows[r] = static_cast<float>(sum);
      if ((r - begin) % kFewRows == kFewRows - 1 || r == end - 1) {
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) {
          columns[c] += few[c];
          few[c] = 0;
        }
      }
    }
  }

  // Where factored: Σ update² of rows [begin, end), from the last to the first: what the next pass begins with is still in the cache.
  [[gnu::always_inline]] inline double updates(int64_t begin, int64_t end, const float* rowFactor, const float* columnFactor) const {
    const int64_t n = m.columns;
    double sum = 0;
    for (int64_t r = end - 1; r >= begin; --r) {
      const G* const gr = g + r * n;
      const float factor = rowFactor[r];
      if (r >= kRowsAhead) fetchRow(gr - kRowsAhead * n, n);
      float square = 0;
#pragma omp simd reduction(+ : square)
      for (int64_t c = 0; c < n; ++c) {
        const float u = toFloat(gr[c]) * factor * columnFactor[c];
        square += u * u;
      }
      sum += square;
    }
    return sum;
  }

  // Last pass: value -= rate·update. Returns Σ value² thereafter.
  [[gnu::always_inline]] inline double apply(int64_t begin, int64_t end, const float* rowFactor, const float* columnFactor,
                                             float rate) const {
    const int64_t n = m.columns;
    const float scale = rates.scale;
    double sum = 0;
    for (int64_t r = begin; r < end; ++r) {
      const G* const gr = g + r * n;
      float* const pr = m.value + r * n;
      if (r + kRowsAhead < m.rows) {
        fetchRow(pr + kRowsAhead * n, n);
        fetchRow(gr + kRowsAhead * n, n);
      }
      if (m.second == nullptr) {
        const float* const v = m.first + r * n;
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) pr[c] -= rate * (toFloat(gr[c]) * scale) / std::sqrt(v[c]);
      } else {
        const float factor = rate * rowFactor[r];
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) pr[c] -= factor * toFloat(gr[c]) * columnFactor[c];
      }
      sum += sumOfSquaresOf(pr, n);
    }
    return sum;
  }
};

// body(block, first row, end row) for every block of rows, by all threads where there is more than one block.
template <typename F>
void forBlocks(int64_t rows, int64_t blocks, const F& body) {
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * rows / blocks, last = (b + 1) * rows / blocks;
      simd([&]() TFJS_TORCH_INLINE_LAMBDA { body(b, first, last); });
    }
  });
}

// Row and column moments of the latest sums of squares, and what a gradient is divided by to give its update.
struct AdafactorFactors {
  std::vector<float> row, column;
  AdafactorFactors(const AdafactorMatrix& m, const AdafactorRates& rates, const float* rowSquares, const float* columnSquares)
      : row(m.rows), column(m.columns) {
    const float beta = rates.beta, rest = 1 - beta;
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
      const float scale = rates.scale, ofRow = scale * scale / static_cast<float>(m.columns),
                  ofColumn = scale * scale / static_cast<float>(m.rows);
#pragma omp simd
      for (int64_t c = 0; c < m.columns; ++c) {
        m.second[c] = m.second[c] * beta + (columnSquares[c] * ofColumn + kEpsilonGradient) * rest;
        column[c] = 1 / std::sqrt(m.second[c]);
      }
      double sum = 0;
      for (int64_t r = 0; r < m.rows; ++r) {
        m.first[r] = m.first[r] * beta + (rowSquares[r] * ofRow + kEpsilonGradient) * rest;
        sum += m.first[r];
      }
      const auto mean = static_cast<float>(sum / static_cast<double>(m.rows));
#pragma omp simd
      for (int64_t r = 0; r < m.rows; ++r) row[r] = scale / std::sqrt(m.first[r] / mean);
    });
  }
};

template <typename G>
AdafactorFactors factorsOf(const AdafactorStep<G>& step, int64_t blocks) {
  const AdafactorMatrix& m = step.m;
  if (m.rowSquares != nullptr) return {m, step.rates, m.rowSquares, m.columnSquares};
  const int64_t columns = m.columns;
  std::vector<float> sums(2 * blocks * columns, 0), rows(m.rows), all(columns);
  forBlocks(m.rows, blocks, [&](int64_t b, int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    float* const own = sums.data() + b * columns;
    step.gradients(begin, end, rows.data(), own, own + blocks * columns);
  });
  for (int64_t c = 0; c < columns; ++c) {
    double sum = 0;
    for (int64_t b = 0; b < blocks; ++b) sum += sums[b * columns + c];
    all[c] = static_cast<float>(sum);
  }
  return {m, step.rates, rows.data(), all.data()};
}

template <typename G>
void updateMatrix(const AdafactorMatrix& m, const AdafactorRates& rates, int64_t blocks) {
  const AdafactorStep<G> step{m, rates, static_cast<const G*>(m.gradient)};
  std::vector<double> parts(blocks);
  const auto sum = [&] { return std::accumulate(parts.begin(), parts.end(), 0.0); };
  const auto rms = [&](double squares) { return std::sqrt(squares / static_cast<double>(m.size())); };
  if (*m.squares < 0) {
    forBlocks(m.rows, blocks, [&](int64_t b, int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA { parts[b] = step.values(begin, end); });
    *m.squares = sum();
  }
  std::optional<AdafactorFactors> factors;
  if (m.second != nullptr) factors = factorsOf(step, blocks);
  const float* const row = factors ? factors->row.data() : nullptr;
  const float* const column = factors ? factors->column.data() : nullptr;
  forBlocks(m.rows, blocks, [&](int64_t b, int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    parts[b] = row == nullptr ? step.moments(begin, end) : step.updates(begin, end, row, column);
  });
  const double clip = std::max(rms(sum()) / kClippingThreshold, 1.0);
  const auto rate = static_cast<float>(std::max(rms(*m.squares), kEpsilonParameter) * rates.learningRate / clip);
  forBlocks(m.rows, blocks,
            [&](int64_t b, int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA { parts[b] = step.apply(begin, end, row, column, rate); });
  *m.squares = sum();
}

inline void updateMatrix(const AdafactorMatrix& m, const AdafactorRates& rates, int64_t blocks) {
  if (m.isBfloat16)
    updateMatrix<c10::BFloat16>(m, rates, blocks);
  else
    updateMatrix<float>(m, rates, blocks);
}

}  // namespace tfjs_torch
