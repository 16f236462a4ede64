#pragma once

// Matrix products by panels, for any microkernel (cpu/gemm/packed/microkernel.h).

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/gemm/packed/epilogue.h"
#include "cpu/gemm/packed/microkernel.h"
#include "cpu/tasks.h"

#ifdef TFJS_TORCH_PACKED

namespace tfjs_torch::packed {

// Terms that are multiplied without a stop: sums of more wait in memory for the next ones.
inline constexpr int64_t kDepth = 512, kMostAtOnce = 1024;
// Bytes of a task's panels, which stay in the second cache, and panels of the other operand that these meet at a time.
inline constexpr int64_t kOwnBytes = 1 << 19, kSharedPanels = 16;
// Bytes of the other operand up to which it stays there too: beyond, each task reads it from further away.
inline constexpr int64_t kSharedBytes = 1 << 20;
// Panels that are packed together.
inline constexpr int64_t kPackedPanels = 4;
// A product of so many terms and of so few tiles is added up piece by piece of its terms.
inline constexpr int64_t kManyTerms = 2048, kFewTiles = 32, kPiece = 1024;
// At least so many tasks a thread, where there are enough panels, and where each of them reads the other operand anew.
inline constexpr int64_t kTasks = 8, kReadingTasks = 2;
inline constexpr int64_t kSums = kLines * kLines;
// Of the first cache's blocks of 2 KB those that stay there beside sums and results.
inline constexpr int64_t kFirstCacheBlocks = 18;

// What is multiplied next is fetched to the second cache, so many lines for each block: loads of tiles do not make the CPU do it.
template <typename E>
struct Ahead {
  const E* at;
  int64_t lines;
};

// Others are written while these are multiplied.
template <typename U, Loads leftLoads, Loads rightLoads>
TFJS_TORCH_TARGET_PACKED inline void multiplyPanel(const LeftOperand<typename U::Element>& left, const typename U::Element* right,
                                                   int64_t blocks, int64_t rows, bool add, const Sums& sums, Writing& others,
                                                   Ahead<typename U::Element>& ahead) {
  const int64_t rowsEach = ceilDivide(kLines, std::max<int64_t>(blocks, 1));
  U::template multiply<leftLoads, rightLoads>(
      left, right, blocks, rows, add, sums, [&]() TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)) {
        others.some(rowsEach);
        for (int64_t line = 0; line < ahead.lines; ++line, ahead.at += Layout<typename U::Element>::kTerms) {
          __builtin_prefetch(ahead.at, 0, 2);
        }
      });
  others.some(kLines);
}

// Panels of one operand: which, and where those of the terms at hand lie, so far apart; the last one of all may lie elsewhere.
template <typename E>
struct PanelRange {
  const E* data;
  int64_t begin, end, distance;
  const E* lastOfAll = nullptr;
  int64_t last = -1;
  int64_t size() const { return end - begin; }
  const E* at(int64_t i) const { return i == last ? lastOfAll : data + (i - begin) * distance; }
};

// The order in which panels meet: the shorter range's stay in the second cache while the longer one is gone through once.
struct Turns {
  bool rowsOften;
  int64_t often, all;
  Turns(int64_t rows, int64_t columns) : rowsOften(rows <= columns), often(std::min(rows, columns)), all(rows * columns) {}
  int64_t row(int64_t turn) const { return rowsOften ? turn % often : turn / often; }
  int64_t column(int64_t turn) const { return rowsOften ? turn / often : turn % often; }
};

// So many terms of all: at the last ones the result is written, until then the sums wait.
struct Part {
  int64_t terms;
  bool isFirst, isLast;
};

// `layout`: how each of the left panels lies.
template <typename U>
TFJS_TORCH_TARGET_PACKED void multiplyRanges(const PanelRange<typename U::Element>& left, const LeftOperand<typename U::Element>& layout,
                                             const PanelRange<typename U::Element>& right, const Part& part, float* waiting,
                                             const Target& target) {
  using L = Layout<typename U::Element>;
  const int64_t blocks = ceilDivide(part.terms, L::kTerms);
  alignas(64) float turns[2][kSums];
  Writing writing(target);
  const Turns order(left.size(), right.size());
  const auto [rowsOften, often, all] = order;
  Ahead<typename U::Element> ahead{nullptr, ceilDivide(L::kBlock / L::kTerms, often)};
  // Of the longer range the panel at hand stays in the first cache, if it fits; a few short ones all do.
  const bool allFit = (often + 1) * blocks <= kFirstCacheBlocks, oneFits = blocks <= kFirstCacheBlocks;
  const auto multiplyOne = allFit      ? multiplyPanel<U, Loads::kKept, Loads::kKept>
                           : !oneFits  ? multiplyPanel<U, Loads::kPast, Loads::kPast>
                           : rowsOften ? multiplyPanel<U, Loads::kPast, Loads::kKept>
                                       : multiplyPanel<U, Loads::kKept, Loads::kPast>;
  for (int64_t turn = 0; turn < all; ++turn) {
    const int64_t i = left.begin + order.row(turn), j = right.begin + order.column(turn);
    if (turn % often == 0) ahead.at = rowsOften ? right.at(j + 1) : left.at(i + 1);
    if (target.takes(i, j)) {
      const Sums sums{static_cast<float*>(target.out.data) + i * kLines * target.out.distance + j * kLines, target.out.distance * 4};
      multiplyOne(layout.at(left.at(i)), right.at(j), blocks, kLines, !part.isFirst || target.out.add, sums, writing, ahead);
      continue;
    }
    float* const sums = part.isFirst && part.isLast ? turns[turn % 2] : waiting + turn * kSums;
    multiplyOne(layout.at(left.at(i)), right.at(j), blocks, std::min(target.rows - i * kLines, kLines), !part.isFirst, {sums, kLines * 4},
                writing, ahead);
    if (part.isLast) writing.begin(sums, i * kLines, j * kLines);
  }
  writing.some(kLines);
  if (target.streams) _mm_sfence();
}

// Whether rows of the left operand are read where they lie: whole blocks of terms, for few columns. Rows a multiple of a page apart would
// meet in the same lines of the cache. Of rows that are no whole groups of 8 the last panel's are copied, as far apart, for all 8 are read.
inline constexpr int64_t kRowsRead = 8;
template <typename U>
bool readsRows(const Operand& a, int64_t columns) {
  using E = typename U::Element;
  constexpr int64_t kMostPanels = 16, kPage = 4096;
  return U::kTakesAnyLeft && a.byRow && a.isFloat == std::is_same_v<E, float> && a.columns % Layout<E>::kTerms == 0 &&
         a.columns <= kMostAtOnce && a.distance * static_cast<int64_t>(sizeof(E)) % kPage != 0 && columns <= kMostPanels * kLines &&
         (a.rows % kRowsRead == 0 || a.distance <= 2 * kMostAtOnce);
}
template <typename E>
void copyLastPanel(const Operand& a, E* to) {
  const int64_t first = (a.rows - 1) / kLines * kLines;
  const E* const rows = static_cast<const E*>(a.data);
  for (int64_t r = first; r < a.rows; ++r) std::copy_n(rows + r * a.distance, a.columns, to + (r - first) * a.distance);
  for (int64_t r = a.rows; r % kRowsRead != 0; ++r) std::fill_n(to + (r - first) * a.distance, a.columns, E(0));
}

// What a thread keeps from task to task.
struct Scratch {
  at::Tensor own, sums;
};

// The smaller operand is packed once for all threads, the larger one by the thread that multiplies with it, while it is in its cache.
template <typename U>
void multiplyPanels(const Operand& a, const Operand& b, const Target& target, int64_t workers) {
  using E = typename U::Element;
  const int64_t terms = a.columns;
  const int64_t depth = terms <= kMostAtOnce ? std::max<int64_t>(terms, 1) : kDepth;
  const bool shareLeft = a.rows <= b.columns;
  const Operand &shared = shareLeft ? a : b, &owned = shareLeft ? b : a;
  const int64_t sharedPanels = ceilDivide(std::min(a.rows, b.columns), kLines);
  const int64_t ownedPanels = ceilDivide(std::max(a.rows, b.columns), kLines);
  const int64_t size = panelSize<E>(terms), ownSize = panelSize<E>(depth);
  at::Tensor sharedBuffer;
  E* const packed = roomFor<E>(sharedBuffer, sharedPanels * size);
  forTasks(ceilDivide(sharedPanels, kPackedPanels), workers, [&](int64_t, int64_t task) {
    const int64_t first = task * kPackedPanels, end = std::min(first + kPackedPanels, sharedPanels);
    if (shareLeft)
      packLeft<U>(shared, {first, end, 0, terms}, packed + first * size, size);
    else
      pack(shared, false, {first, end, 0, terms}, packed + first * size, size);
  });
  const bool isRead = !shareLeft && readsRows<U>(a, b.columns);
  const E* const rows = static_cast<const E*>(a.data);
  at::Tensor lastBuffer;
  E* lastRows = nullptr;
  if (isRead && a.rows % kRowsRead != 0) copyLastPanel(a, lastRows = roomFor<E>(lastBuffer, kLines * a.distance));
  const LeftOperand<E> layout = isRead                         ? LeftOperand<E>::rows(rows, a.distance)
                                : U::kTakesAnyLeft && !a.byRow ? LeftOperand<E>::columns(nullptr)
                                                               : LeftOperand<E>::panel(nullptr);
  const int64_t tasks = (sharedPanels * size * static_cast<int64_t>(sizeof(E)) <= kSharedBytes ? kTasks : kReadingTasks) * workers;
  const int64_t block =
      std::clamp<int64_t>(ceilDivide(ownedPanels, tasks), 1, std::max<int64_t>(kOwnBytes / static_cast<int64_t>(sizeof(E)) / ownSize, 1));
  std::vector<Scratch> scratch(workers);
  forTasks(ceilDivide(ownedPanels, block), workers, [&](int64_t worker, int64_t task) {
    const int64_t first = task * block, end = std::min(first + block, ownedPanels);
    E* const own = isRead ? nullptr : roomFor<E>(scratch[worker].own, block * ownSize);
    float* const sums = depth < terms ? roomFor<float>(scratch[worker].sums, block * kSharedPanels * kSums) : nullptr;
    [[maybe_unused]] const typename U::Scope scope;
    for (int64_t other = 0; other < sharedPanels; other += kSharedPanels) {
      for (int64_t k = 0; k == 0 || k < terms; k += depth) {
        const int64_t until = std::min(k + depth, terms);
        if (!isRead && (other == 0 || depth < terms)) {
          if (shareLeft)
            pack(owned, false, {first, end, k, until}, own, ownSize);
          else
            packLeft<U>(owned, {first, end, k, until}, own, ownSize);
        }
        const int64_t panel = kLines * a.distance;
        const PanelRange<E> mine =
            isRead ? PanelRange<E>{rows + first * panel, first, end, panel, lastRows, lastRows == nullptr ? -1 : ownedPanels - 1}
                   : PanelRange<E>{own, first, end, ownSize};
        const PanelRange<E> theirs{packed + other * size + k * kLines, other, std::min(other + kSharedPanels, sharedPanels), size};
        multiplyRanges<U>(shareLeft ? theirs : mine, layout, shareLeft ? mine : theirs, {until - k, k == 0, until == terms}, sums, target);
      }
    }
  });
}

TFJS_TORCH_INTRINSICS_BEGIN
// Sums of `pieces`, tile by tile, to where they go.
TFJS_TORCH_TARGET_PACKED inline void writePieces(float* sums, int64_t pieces, const Turns& turns, const Target& target) {
  Writing writing(target);
  for (int64_t turn = 0; turn < turns.all; ++turn) {
    float* const tile = sums + turn * kSums;
    for (int64_t piece = 1; piece < pieces; ++piece) {
      const float* const other = tile + piece * turns.all * kSums;
      for (int64_t i = 0; i < kSums; i += kTile)
        _mm512_store_ps(tile + i, _mm512_add_ps(_mm512_load_ps(tile + i), _mm512_load_ps(other + i)));
    }
    writing.begin(tile, turns.row(turn) * kLines, turns.column(turn) * kLines);
    writing.some(kLines);
  }
  if (target.streams) _mm_sfence();
}
TFJS_TORCH_INTRINSICS_END

// A small model's weight gradient, of as many terms as there are tokens: each task takes a piece of the terms, whose panels of both
// operands and whose sums stay in the second cache. Pieces do not depend on the number of threads, and so do no bits.
template <typename U>
void multiplyByPieces(const Operand& a, const Operand& b, const Target& target, int64_t workers) {
  using E = typename U::Element;
  const int64_t terms = a.columns, left = ceilDivide(a.rows, kLines), right = ceilDivide(b.columns, kLines);
  const int64_t each = ceilDivide(ceilDivide(terms, ceilDivide(terms, kPiece)), Layout<E>::kTerms) * Layout<E>::kTerms;
  const int64_t pieces = ceilDivide(terms, each), size = panelSize<E>(each);
  const Turns turns(left, right);
  at::Tensor sumsBuffer;
  float* const sums = roomFor<float>(sumsBuffer, pieces * turns.all * kSums);
  Bfloat16Result elsewhere = target.out;
  elsewhere.isFloat = false;  // no sums go there by themselves
  const Target none(elsewhere, a.rows, b.columns);
  std::vector<Scratch> scratch(workers);
  forTasks(pieces, workers, [&](int64_t worker, int64_t task) {
    const int64_t from = task * each, until = std::min(from + each, terms);
    E* const own = roomFor<E>(scratch[worker].own, (left + right) * size);
    E* const other = own + left * size;
    [[maybe_unused]] const typename U::Scope scope;
    const LeftOperand<E> layout = packLeft<U>(a, {0, left, from, until}, own, size);
    pack(b, false, {0, right, from, until}, other, size);
    multiplyRanges<U>(PanelRange<E>{own, 0, left, size}, layout, PanelRange<E>{other, 0, right, size}, {until - from, true, false},
                      sums + task * turns.all * kSums, none);
  });
  writePieces(sums, pieces, turns, target);
}

template <typename U>
void multiply(const Operand& a, const Operand& b, const Bfloat16Result& out, const ResultSquares* squares) {
  if (a.rows == 0 || b.columns == 0) {
    if (squares != nullptr) {
      std::fill_n(squares->rows, a.rows, 0.0f);
      std::fill_n(squares->columns, b.columns, 0.0f);
    }
    return;
  }
  Target target(out, a.rows, b.columns);
  std::vector<float> along, down;
  if (squares != nullptr) {
    along.resize(ceilDivide(a.rows, kLines) * kLines * kTile);
    down.resize(ceilDivide(b.columns, kLines) * kLines);
    target.along = along.data();
    target.down = down.data();
  }
  const int64_t workers = workersFor(a.rows * a.columns * b.columns);
  if (a.columns >= kManyTerms && ceilDivide(a.rows, kLines) * ceilDivide(b.columns, kLines) <= kFewTiles)
    multiplyByPieces<U>(a, b, target, workers);
  else
    multiplyPanels<U>(a, b, target, workers);
  if (squares == nullptr) return;
  for (int64_t r = 0; r < a.rows; ++r) squares->rows[r] = std::accumulate(along.data() + r * kTile, along.data() + (r + 1) * kTile, 0.0f);
  std::copy_n(down.data(), b.columns, squares->columns);
}

}  // namespace tfjs_torch::packed

#endif
