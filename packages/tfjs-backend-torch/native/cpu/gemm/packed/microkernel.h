#pragma once

// What a microkernel is given. One is a struct U of
//   Element                                        what panels hold
//   Scope                                          stands while a thread multiplies
//   kTakesAnyLeft                                  whether left operands may lie otherwise than in panels (LeftOperand)
//   multiply<leftLoads, rightLoads>(left, right, blocks, rows, add, sums, meanwhile)
//     sums [32, 32] ← left·right over so many blocks of terms, or sums + that, of which `rows` count; `meanwhile` is called about once a
//     block, where it holds nothing up.

#include "cpu/gemm/packed/panels.h"

#ifdef TFJS_TORCH_PACKED

namespace tfjs_torch::packed {

// How a panel is loaded by AMX: kept in the first cache, or past it, where it would only push out what is read again.
enum class Loads { kKept, kPast };

// Sums [32, 32], their rows so many bytes apart.
struct Sums {
  float* data;
  int64_t row;
};

// Where 32 rows of a left operand lie: its value of row r and pair of terms p in block b is at b·block + r / 16·tile + r % 16·row + p·pair.
template <typename E>
struct LeftOperand {
  const E* data;
  int64_t row, pair, block, tile;

  static LeftOperand panel(const E* data) { return {data, Layout<E>::kTerms, Layout<E>::kPair, Layout<E>::kBlock, Layout<E>::kTileSize}; }
  // A matrix's rows as they lie in memory, of whole blocks of terms.
  static LeftOperand rows(const E* data, int64_t distance) {
    return {data, distance, Layout<E>::kPair, Layout<E>::kTerms, kTile * distance};
  }
  // A panel of the transposed matrix's columns: a right operand's.
  static LeftOperand columns(const E* data) { return {data, Layout<E>::kPair, Layout<E>::kTerms, Layout<E>::kBlock, Layout<E>::kTileSize}; }
  LeftOperand at(const E* other) const { return {other, row, pair, block, tile}; }
};

// Packs a left operand as this microkernel takes it: one whose terms lie apart as the right operand that it is when transposed, where it
// may lie so, which takes no transposition. Returns how panels lie.
template <typename U>
TFJS_TORCH_TARGET_PACKED inline LeftOperand<typename U::Element> packLeft(const Operand& x, const Section& which, typename U::Element* to,
                                                                          int64_t distance) {
  if (U::kTakesAnyLeft && !x.byRow) {
    Operand transposed = x;
    std::swap(transposed.rows, transposed.columns);
    transposed.byRow = true;
    pack(transposed, false, which, to, distance);
    return LeftOperand<typename U::Element>::columns(to);
  }
  pack(x, true, which, to, distance);
  return LeftOperand<typename U::Element>::panel(to);
}

}  // namespace tfjs_torch::packed

#endif
