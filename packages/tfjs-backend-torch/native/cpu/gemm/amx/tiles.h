#pragma once

// The multiplication itself: 32 by 32 sums in four of the eight tiles, two of the left operand and two of the right.

#include "cpu/gemm/amx/panels.h"

#ifdef TFJS_TORCH_AMX

namespace tfjs_torch::amx {

// How an operand's tiles are loaded: kept in the first cache, or past it, where they would only push out what is read again.
enum class Loads { kKept, kPast };

#define LOAD_TILE(loads, tile, from)      \
  do {                                    \
    if constexpr (loads == Loads::kKept)  \
      _tile_loadd(tile, from, 64);        \
    else                                  \
      _tile_stream_loadd(tile, from, 64); \
  } while (false)

// Sums [32, 32], their rows so many bytes apart.
struct Sums {
  float* data;
  int64_t row;
};

// sums ← left·right over so many blocks of 32 terms, or sums + that; `meanwhile` is called once a block, between the units' instructions.
template <Loads leftLoads, Loads rightLoads, typename Meanwhile>
AMX __attribute__((always_inline)) inline void multiplyTiles(const Narrow* left, const Narrow* right, int64_t blocks, bool add,
                                                             const Sums& sums, const Meanwhile& meanwhile) {
  // The intrinsics do not tell GCC 12 that they read memory.
  asm volatile("" : : : "memory");
  float* const below = sums.data + kTile * sums.row / static_cast<int64_t>(sizeof(float));
  if (add) {
    _tile_loadd(0, sums.data, sums.row);
    _tile_loadd(1, sums.data + kTile, sums.row);
    _tile_loadd(2, below, sums.row);
    _tile_loadd(3, below + kTile, sums.row);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t i = 0; i < blocks; ++i, left += kBlock, right += kBlock) {
    LOAD_TILE(leftLoads, 4, left);
    LOAD_TILE(rightLoads, 6, right);
    LOAD_TILE(rightLoads, 7, right + kTileSize);
    _tile_dpbf16ps(0, 4, 6);
    LOAD_TILE(leftLoads, 5, left + kTileSize);
    _tile_dpbf16ps(1, 4, 7);
    meanwhile();
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums.data, sums.row);
  _tile_stored(1, sums.data + kTile, sums.row);
  _tile_stored(2, below, sums.row);
  _tile_stored(3, below + kTile, sums.row);
  asm volatile("" : : : "memory");
}

}  // namespace tfjs_torch::amx

#endif
