// native/cuda/mma.cuh in plain C++, for kernels whose threads are fibers (cuda_runtime_api.h).
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda_bf16.h"
#include "cuda_runtime_api.h"

namespace tfjs_torch::cuda {

inline float halfOf(uint32_t pair, int which) { return __bfloat162float({static_cast<uint16_t>(pair >> (16 * which))}); }

inline uint32_t packPair(float low, float high) {
  return __float2bfloat16(low).bits | static_cast<uint32_t>(__float2bfloat16(high).bits) << 16;
}

struct ProductRegisters {
  uint32_t a[4], b[2];
  float sums[4];
};

// The product of a warp's lanes.
inline void multiplyTiles(ProductRegisters (&lanes)[32]) {
  float left[16][16], right[16][8], product[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const ProductRegisters& of = lanes[lane];
    const int g = lane / 4, c = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      for (int half = 0; half < 2; ++half) {
        left[g + i % 2 * 8][c + i / 2 * 8 + half] = halfOf(of.a[i], half);
        if (i < 2) right[c + i * 8 + half][g] = halfOf(of.b[i], half);
      }
      product[g + i / 2 * 8][c + i % 2] = of.sums[i];
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) product[row][column] += left[row][k] * right[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) lanes[lane].sums[i] = product[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

inline void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const ProductRegisters shown{{a[0], a[1], a[2], a[3]}, {b0, b1}, {sums[0], sums[1], sums[2], sums[3]}};
  std::memcpy(sums, emulated::exchangedWide(shown, multiplyTiles).sums, sizeof sums);
}

struct TransposedRows {
  const __nv_bfloat16* row;
  uint32_t b[4];
};

// Matrix i of the four: lanes 8·i to 8·i + 7 gave its rows.
inline void loadTiles(TransposedRows (&lanes)[32]) {
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, c = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const uint32_t low = lanes[i * 8 + c].row[g].bits, high = lanes[i * 8 + c + 1].row[g].bits;
      lanes[lane].b[i] = low | high << 16;
    }
  }
}

inline void loadTransposed(uint32_t (&b)[4], const __nv_bfloat16* row) {
  std::memcpy(b, emulated::exchangedWide(TransposedRows{row, {}}, loadTiles).b, sizeof b);
}

}  // namespace tfjs_torch::cuda
