// Cross-entropy of rows of logits, a block a row: one pass for the maximum and the sum, one that overwrites the row by its gradient.
#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/row_math.cuh"

namespace tfjs_torch::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarpThreads;

// Of some of a row's values: the largest, and Σ e^(x − largest).
struct Partition {
  float largest, sum;
};
__device__ inline Partition merge(Partition a, Partition b) {
  const float largest = fmaxf(a.largest, b.largest);
  if (largest == -INFINITY) return {largest, a.sum + b.sum};
  return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

template <typename T, int N>
__global__ void crossEntropyKernel(T* logits, const int32_t* target, const float* share, int64_t vocab, float* logProb) {
  __shared__ Partition parts[kWarps];
  const int64_t row = blockIdx.x, packs = vocab / N;
  T* const at = logits + row * vocab;
  Partition mine = {-INFINITY, 0};
  for (int64_t p = threadIdx.x; p < packs; p += kThreads) {
    const Pack<T, N> x = loadPack<N>(at + p * N);
    float largest = mine.largest;
#pragma unroll
    for (int i = 0; i < N; ++i) largest = fmaxf(largest, toFloat(x.v[i]));
    if (largest == -INFINITY) {  // nothing but −∞, or no number
#pragma unroll
      for (int i = 0; i < N; ++i) {
        if (toFloat(x.v[i]) != -INFINITY) mine.sum = NAN;
      }
      continue;
    }
    float sum = mine.sum * expf(mine.largest - largest);
#pragma unroll
    for (int i = 0; i < N; ++i) sum += expf(toFloat(x.v[i]) - largest);
    mine = {largest, sum};
  }
  for (int offset = kWarpThreads / 2; offset > 0; offset /= 2) {
    const float largest = __shfl_xor_sync(kWholeWarp, mine.largest, offset), sum = __shfl_xor_sync(kWholeWarp, mine.sum, offset);
    mine = merge(mine, {largest, sum});
  }
  if (threadIdx.x % kWarpThreads == 0) parts[threadIdx.x / kWarpThreads] = mine;
  __syncthreads();
  Partition all = parts[0];
  for (int w = 1; w < kWarps; ++w) all = merge(all, parts[w]);
  const int32_t goal = target[row];
  const bool isKnown = goal >= 0 && goal < vocab;
  const float chosen = isKnown ? toFloat(at[goal]) - all.largest - logf(all.sum) : NAN;
  __syncthreads();  // the target's logit is read before anyone overwrites it
  if (threadIdx.x == 0) logProb[row] = chosen;
  if (share == nullptr) return;
  const float part = share[row], scale = isKnown ? part / all.sum : NAN;
  for (int64_t p = threadIdx.x; p < packs; p += kThreads) {
    Pack<T, N> x = loadPack<N>(at + p * N);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float value = p * N + i == goal ? part * expm1f(chosen) : scale * expf(toFloat(x.v[i]) - all.largest);
      fromFloat(value, x.v[i]);
    }
    storePack(x, at + p * N);
  }
}

}  // namespace

void crossEntropyRows(void* logits, bool isBfloat16, const int32_t* target, const float* share, int64_t rows, int64_t vocab, float* logProb,
                      cudaStream_t stream) {
  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int n = 16 / sizeof(T);
    const auto kernel = vocab % n == 0 ? crossEntropyKernel<T, n> : crossEntropyKernel<T, 1>;
    launch("crossEntropyRows", kernel, rows, kThreads, 0, stream, static_cast<T*>(logits), target, share, vocab, logProb);
  };
  isBfloat16 ? run(static_cast<__nv_bfloat16*>(nullptr)) : run(static_cast<float*>(nullptr));
}

}  // namespace tfjs_torch::cuda
