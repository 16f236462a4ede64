#pragma once

// What kernels over rows of float32 or bfloat16 share.

#include <cuda_bf16.h>

#include <cstdint>

namespace tfjs_torch::cuda {

constexpr int kWarpThreads = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

__device__ inline float toFloat(float x) { return x; }
__device__ inline float toFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void fromFloat(float x, float& to) { to = x; }
__device__ inline void fromFloat(float x, __nv_bfloat16& to) { to = __float2bfloat16(x); }

// N values that are read and written by one instruction.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
template <int N, typename T>
__device__ inline Pack<T, N> loadPack(const T* at) {
  return *reinterpret_cast<const Pack<T, N>*>(at);
}
template <int N, typename T>
__device__ inline void storePack(const Pack<T, N>& x, T* to) {
  *reinterpret_cast<Pack<T, N>*>(to) = x;
}

__device__ inline float sumOfWarp(float x) {
  for (int offset = kWarpThreads / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kWholeWarp, x, offset);
  return x;
}

// Sum over a block's threads, for all of them; always added up in the same order. At most 32 warps.
__device__ inline float sumOfBlock(float x) {
  __shared__ float parts[kWarpThreads];
  x = sumOfWarp(x);
  __syncthreads();
  if (threadIdx.x % kWarpThreads == 0) parts[threadIdx.x / kWarpThreads] = x;
  __syncthreads();
  float sum = 0;
  for (unsigned w = 0; w < blockDim.x / kWarpThreads; ++w) sum += parts[w];
  return sum;
}

}  // namespace tfjs_torch::cuda
