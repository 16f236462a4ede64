#pragma once

// AMX-BF16's microkernel: 32 by 32 sums in four of the eight tiles, two of the left operand and two of the right. Products of two bfloat16
// are exact, their sums float32, subnormal numbers 0.

#include "cpu/gemm/packed/microkernel.h"

#ifdef TFJS_TORCH_PACKED

namespace tfjs_torch::packed {

#define TFJS_TORCH_LOAD_TILE(loads, tile, from) \
  do {                                          \
    if constexpr (loads == Loads::kKept)        \
      _tile_loadd(tile, from, 64);              \
    else                                        \
      _tile_stream_loadd(tile, from, 64);       \
  } while (false)

inline constexpr int64_t kTileBlock = Layout<BFloat16>::kBlock, kTileValues = Layout<BFloat16>::kTileSize;

// The tiles of this thread, set up while one of these lives; what the library had set stands again thereafter. One within another costs
// nothing.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;

 private:
  alignas(64) uint8_t before_[64];
};

struct AmxBf16 {
  using Element = BFloat16;
  using Scope = Tiles;
  static constexpr bool kTakesAnyLeft = false;

  template <Loads leftLoads, Loads rightLoads, typename Meanwhile>
  TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)) static void multiply(const LeftOperand<BFloat16>& operand, const BFloat16* right,
                                                                               int64_t blocks, int64_t, bool add, const Sums& sums,
                                                                               const Meanwhile& meanwhile) {
    const BFloat16* left = operand.data;
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
    for (int64_t i = 0; i < blocks; ++i, left += kTileBlock, right += kTileBlock) {
      TFJS_TORCH_LOAD_TILE(leftLoads, 4, left);
      TFJS_TORCH_LOAD_TILE(rightLoads, 6, right);
      TFJS_TORCH_LOAD_TILE(rightLoads, 7, right + kTileValues);
      _tile_dpbf16ps(0, 4, 6);
      TFJS_TORCH_LOAD_TILE(leftLoads, 5, left + kTileValues);
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
};

#undef TFJS_TORCH_LOAD_TILE

}  // namespace tfjs_torch::packed

#endif
