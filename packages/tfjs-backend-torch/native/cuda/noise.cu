// Entries times noise, four a thread: one block of Philox.
#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/row_math.cuh"

namespace tfjs_torch::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void noiseKernel(const T* x, const int32_t* step, uint32_t key0, uint32_t key1, NoiseFactors factors, int64_t size, float* to) {
  const int64_t block = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block * 4 >= size) return;
  const Philox noise = philox(key0, key1, static_cast<uint64_t>(block), static_cast<uint32_t>(*step));
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t at = block * 4 + i;
    if (at < size) to[at] = toFloat(x[at]) * factors(noise.words[i]);
  }
}

}  // namespace

void timesNoise(const void* x, bool isBfloat16, const int32_t* step, uint32_t key0, uint32_t key1, const NoiseFactors& factors,
                int64_t size, float* to, cudaStream_t stream) {
  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("timesNoise", noiseKernel<T>, (size + 4 * kThreads - 1) / (4 * kThreads), kThreads, 0, stream, static_cast<const T*>(x), step,
           key0, key1, factors, size, to);
  };
  isBfloat16 ? run(static_cast<__nv_bfloat16*>(nullptr)) : run(static_cast<float*>(nullptr));
}

}  // namespace tfjs_torch::cuda
