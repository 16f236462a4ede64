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

inline void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Registers {
    uint32_t a[4], b[2];
  };
  const auto of = emulated::exchangedWide(Registers{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  const auto elementA = [&](int row, int k) { return halfOf(of(row % 8 * 4 + k % 8 / 2).a[row / 8 + k / 8 * 2], k % 2); };
  const auto elementB = [&](int k, int column) { return halfOf(of(column * 4 + k % 8 / 2).b[k / 8], k % 2); };
  const int lane = static_cast<int>(threadIdx.x % 32), g = lane / 4, c = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 16; ++k) sums[i] += elementA(g + i / 2 * 8, k) * elementB(k, c + i % 2);
  }
}

inline void loadTransposed(uint32_t (&b)[4], const __nv_bfloat16* row) {
  const auto of = emulated::exchangedWide(row);
  const int lane = static_cast<int>(threadIdx.x % 32), g = lane / 4, c = lane % 4 * 2;
  // Matrix i of the four: lanes 8·i to 8·i + 7 gave its rows.
  for (int i = 0; i < 4; ++i) {
    b[i] = of(i * 8 + c)[g].bits | static_cast<uint32_t>(of(i * 8 + c + 1)[g].bits) << 16;
  }
}

}  // namespace tfjs_torch::cuda
