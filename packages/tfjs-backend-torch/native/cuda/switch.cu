// Routing by index and the way of rows to experts and back. No float is added by atomics: the same input gives the same bits.
#include <cuda_bf16.h>

#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/launch.h"

namespace tfjs_torch::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr unsigned kAll = 0xffffffffu;

__device__ inline float toFloat(float x) { return x; }
__device__ inline float toFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void fromFloat(float x, float& to) { to = x; }
__device__ inline void fromFloat(float x, __nv_bfloat16& to) { to = __float2bfloat16(x); }

__device__ inline float warpSum(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAll, x, offset);
  return x;
}

// One warp a token. Of equal probabilities the first expert is chosen, as argmax does.
__global__ void softmaxKernel(const float* logits, const float* real, bool ignorePadding, bool isBfloat16, int64_t tokens, int64_t experts,
                              float* probs, int32_t* expert, float* gate, float* logZ) {
  const int64_t n = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (n >= tokens) return;
  const float* const in = logits + n * experts;
  float* const p = probs + n * experts;
  float top = -INFINITY;
  for (int64_t e = lane; e < experts; e += kWarp) top = fmaxf(top, in[e]);
  for (int offset = kWarp / 2; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(kAll, top, offset));
  float sum = 0;
  for (int64_t e = lane; e < experts; e += kWarp) sum += expf(in[e] - top);
  sum = warpSum(sum);
  float best = -1;
  int32_t chosen = 0;
  for (int64_t e = lane; e < experts; e += kWarp) {
    float value = expf(in[e] - top) / sum;
    if (isBfloat16) value = __bfloat162float(__float2bfloat16(value));
    p[e] = value;
    if (value > best) {
      best = value;
      chosen = static_cast<int32_t>(e);
    }
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(kAll, best, offset);
    const int32_t index = __shfl_xor_sync(kAll, chosen, offset);
    if (other > best || (other == best && index < chosen)) {
      best = other;
      chosen = index;
    }
  }
  if (lane > 0) return;
  const bool routed = !ignorePadding || real[n] != 0;
  expert[n] = routed ? chosen : -1;
  gate[n] = routed ? best : 0;
  logZ[n] = top + logf(sum);
}

// One warp a group walks its tokens 32 at a time: those of one expert find each other by a ballot. Experts are counted in shared
// memory where there is room for them (`isShared`), else where the counts are to be in the end. The next tokens are loaded meanwhile.
__global__ void placesKernel(bool isShared, const int32_t* expert, int64_t ofGroup, int64_t experts, int64_t capacity, int32_t* slot,
                             int32_t* occupied, int32_t* taken) {
  extern __shared__ int32_t shared[];
  const int64_t g = blockIdx.x, groups = gridDim.x;
  int32_t* const counts = isShared ? shared : taken + g * experts;
  const int lane = threadIdx.x;
  for (int64_t e = lane; e < experts; e += kWarp) counts[e] = 0;
  __syncwarp();
  const int32_t nowhere = static_cast<int32_t>(experts * groups * capacity);
  const auto expertAt = [=](int64_t at) { return at < ofGroup ? expert[g * ofGroup + at] : -1; };
  int32_t ahead = expertAt(lane);
  for (int64_t first = 0; first < ofGroup; first += kWarp) {
    const int64_t n = g * ofGroup + first + lane;
    const bool inside = first + lane < ofGroup;
    const int32_t e = ahead;
    ahead = expertAt(first + kWarp + lane);
    const unsigned same = __match_any_sync(kAll, e);
    const int before = __popc(same & ((1u << lane) - 1));
    const int64_t position = e >= 0 ? counts[e] + before : 0;
    __syncwarp();
    if (e >= 0 && before == 0) counts[e] += __popc(same);
    __syncwarp();
    if (!inside) continue;
    const bool kept = e >= 0 && position < capacity;
    slot[n] = kept ? static_cast<int32_t>((e * groups + g) * capacity + position) : nowhere;
  }
  for (int64_t e = lane; e < experts; e += kWarp) {
    taken[g * experts + e] = counts[e];
    occupied[e * groups + g] = static_cast<int32_t>(min(static_cast<int64_t>(counts[e]), capacity));
  }
}

template <typename T>
__global__ void dispatchKernel(const T* x, const int32_t* slot, int64_t slots, int64_t width, T* to) {
  const int64_t n = blockIdx.x, s = slot[n];
  if (s < 0 || s >= slots) return;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) to[s * width + i] = x[n * width + i];
}

template <typename T>
__global__ void combineKernel(const T* y, const int32_t* slot, const float* gate, int64_t slots, int64_t width, T* to) {
  const int64_t n = blockIdx.x, s = slot[n];
  const bool placed = s >= 0 && s < slots;
  const float factor = gate ? gate[n] : 1.0f;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    fromFloat(placed ? factor * toFloat(y[s * width + i]) : 0.0f, to[n * width + i]);
  }
}

template <typename T>
__global__ void combineGradientKernel(const T* d, const T* y, const int32_t* slot, const float* gate, int64_t slots, int64_t width, T* dY,
                                      float* dGate) {
  const int64_t n = blockIdx.x, s = slot[n];
  __shared__ float parts[kThreads / kWarp];
  float along = 0;
  if (s >= 0 && s < slots) {
    const float factor = gate[n];
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
      const float value = toFloat(d[n * width + i]);
      along += value * toFloat(y[s * width + i]);
      fromFloat(factor * value, dY[s * width + i]);
    }
  }
  along = warpSum(along);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = along;
  __syncthreads();
  if (threadIdx.x > 0) return;
  float sum = 0;
  for (int w = 0; w < kThreads / kWarp; ++w) sum += parts[w];
  dGate[n] = sum;
}

}  // namespace

void routerSoftmax(const float* logits, const float* real, bool ignorePadding, bool isBfloat16, int64_t tokens, int64_t experts,
                   float* probs, int32_t* expert, float* gate, float* logZ, cudaStream_t stream) {
  const int64_t blocks = (tokens * kWarp + kThreads - 1) / kThreads;
  launch("routerSoftmax", softmaxKernel, blocks, kThreads, 0, stream, logits, real, ignorePadding, isBfloat16, tokens, experts, probs,
         expert, gate, logZ);
}

void routerPlaces(const int32_t* expert, int64_t groups, int64_t ofGroup, int64_t experts, int64_t capacity, int32_t* slot,
                  int32_t* occupied, int32_t* taken, cudaStream_t stream) {
  const int64_t bytes = experts * static_cast<int64_t>(sizeof(int32_t));
  const bool isShared = bytes <= kDynamicSharedBytes;
  launch("routerPlaces", placesKernel, groups, kWarp, isShared ? bytes : 0, stream, isShared, expert, ofGroup, experts, capacity, slot,
         occupied, taken);
}

void dispatchRows(const void* x, const int32_t* slot, bool isBfloat16, int64_t tokens, int64_t slots, int64_t width, void* to,
                  cudaStream_t stream) {
  check(cudaMemsetAsync(to, 0, slots * width * (isBfloat16 ? 2 : 4), stream), "dispatchRows");
  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("dispatchRows", dispatchKernel<T>, tokens, kThreads, 0, stream, static_cast<const T*>(x), slot, slots, width,
           static_cast<T*>(to));
  };
  isBfloat16 ? run(static_cast<__nv_bfloat16*>(nullptr)) : run(static_cast<float*>(nullptr));
}

void combineRows(const void* y, const int32_t* slot, const float* gate, bool isBfloat16, int64_t tokens, int64_t slots, int64_t width,
                 void* to, cudaStream_t stream) {
  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("combineRows", combineKernel<T>, tokens, kThreads, 0, stream, static_cast<const T*>(y), slot, gate, slots, width,
           static_cast<T*>(to));
  };
  isBfloat16 ? run(static_cast<__nv_bfloat16*>(nullptr)) : run(static_cast<float*>(nullptr));
}

void combineRowsGradient(const void* d, const void* y, const int32_t* slot, const float* gate, bool isBfloat16, int64_t tokens,
                         int64_t slots, int64_t width, void* dY, float* dGate, cudaStream_t stream) {
  check(cudaMemsetAsync(dY, 0, slots * width * (isBfloat16 ? 2 : 4), stream), "combineRowsGradient");
  const auto run = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("combineRowsGradient", combineGradientKernel<T>, tokens, kThreads, 0, stream, static_cast<const T*>(d), static_cast<const T*>(y),
           slot, gate, slots, width, static_cast<T*>(dY), dGate);
  };
  isBfloat16 ? run(static_cast<__nv_bfloat16*>(nullptr)) : run(static_cast<float*>(nullptr));
}

}  // namespace tfjs_torch::cuda
