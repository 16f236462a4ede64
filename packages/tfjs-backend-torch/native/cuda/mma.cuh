#pragma once

// A warp's matrix product of tiles of bfloat16 with float32 sums (PTX mma.m16n8k16), and loads of its operands. Lane i holds, with
// g = i / 4 and c = 2·(i % 4), pairs of neighbours in a register:
//   A [16, 16]: (g, c), (g + 8, c), (g, c + 8), (g + 8, c + 8)
//   B [16, 8]:  rows c and c + 1 of column g; rows c + 8 and c + 9
//   sums [16, 8], one a register: (g, c), (g, c + 1), (g + 8, c), (g + 8, c + 1)
// So two tiles of sums, rounded, are an A. The kernels run on a CPU too: test/kernels/include has these functions in plain C++.

#ifdef __CUDACC__

#include <cuda_bf16.h>

#include <cstdint>

namespace tfjs_torch::cuda {

// sums += a·b
__device__ inline void multiplyAdd(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two B of a matrix that lies in shared memory with a row of B in a row: b[0], b[1] for columns 0 to 7, b[2], b[3] for 8 to 15. Lane i
// gives the address of row i % 16, column 8·(i / 16), on 16 bytes.
__device__ inline void loadTransposed(uint32_t (&b)[4], const __nv_bfloat16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(address));
}

// low in the lower half.
__device__ inline uint32_t packPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

}  // namespace tfjs_torch::cuda

#else
#include "emulated_mma.h"
#endif
