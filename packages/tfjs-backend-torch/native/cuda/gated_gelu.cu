// The gated GELU between a feed-forward layer's products, one kernel each way. 16 bytes of a row a thread.
#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/row_math.cuh"

namespace tfjs_torch::cuda {
namespace {

constexpr int kThreads = 256;
// gelu(g) = g·sigmoid(g·(slope + slope·cubic·g²)), the approximation by tanh; t5/activation.h has the same.
constexpr float kSlope = 1.5957691216f, kCubic = 0.044715f;

template <typename T>
constexpr int kPackOf = 16 / sizeof(T);

__device__ inline float gateSigmoid(float g) { return 1 / (1 + expf(-g * (kSlope + kSlope * kCubic * g * g))); }

// h [rows, 2f] holds gate and value side by side.
template <typename T>
__global__ void geluKernel(const T* h, int64_t size, int64_t f, T* hidden) {
  constexpr int n = kPackOf<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * n;
  if (at >= size) return;
  const T* const row = h + at / f * 2 * f + at % f;
  const Pack<T, n> gate = loadPack<n>(row), value = loadPack<n>(row + f);
  Pack<T, n> out;
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float g = toFloat(gate.v[i]);
    fromFloat(g * gateSigmoid(g) * toFloat(value.v[i]), out.v[i]);
  }
  storePack(out, hidden + at);
}

// dh [rows, 2f] of dHidden [rows, f]; and the hidden activation once more, which the output weight's gradient needs.
template <typename T>
__global__ void geluGradKernel(const T* dHidden, const T* h, int64_t size, int64_t f, T* dh, T* hidden) {
  constexpr int n = kPackOf<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * n;
  if (at >= size) return;
  const int64_t place = at / f * 2 * f + at % f;
  const Pack<T, n> gate = loadPack<n>(h + place), value = loadPack<n>(h + place + f), d = loadPack<n>(dHidden + at);
  Pack<T, n> out, dGate, dValue;
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float g = toFloat(gate.v[i]), v = toFloat(value.v[i]), dy = toFloat(d.v[i]);
    const float s = gateSigmoid(g), gelu = g * s;
    fromFloat(gelu * v, out.v[i]);
    fromFloat(dy * v * (s + gelu * (1 - s) * (kSlope + 3 * kSlope * kCubic * g * g)), dGate.v[i]);
    fromFloat(dy * gelu, dValue.v[i]);
  }
  storePack(out, hidden + at);
  storePack(dGate, dh + place);
  storePack(dValue, dh + place + f);
}

template <typename Body>
void withElement(bool isBfloat16, const Body& body) {
  isBfloat16 ? body(static_cast<__nv_bfloat16*>(nullptr)) : body(static_cast<float*>(nullptr));
}

template <typename T>
int64_t blocksFor(int64_t size) {
  constexpr int64_t each = kThreads * kPackOf<T>;
  return (size + each - 1) / each;
}

}  // namespace

bool hasGatedGeluKernel(int64_t f) { return f > 0 && f % kPackOf<__nv_bfloat16> == 0; }

void gatedGelu(const void* h, bool isBfloat16, int64_t rows, int64_t f, void* hidden, cudaStream_t stream) {
  withElement(isBfloat16, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("gatedGelu", geluKernel<T>, blocksFor<T>(rows * f), kThreads, 0, stream, static_cast<const T*>(h), rows * f, f,
           static_cast<T*>(hidden));
  });
}

void gatedGeluGradient(const void* dHidden, const void* h, bool isBfloat16, int64_t rows, int64_t f, void* dh, void* hidden,
                       cudaStream_t stream) {
  withElement(isBfloat16, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch("gatedGeluGradient", geluGradKernel<T>, blocksFor<T>(rows * f), kThreads, 0, stream, static_cast<const T*>(dHidden),
           static_cast<const T*>(h), rows * f, f, static_cast<T*>(dh), static_cast<T*>(hidden));
  });
}

}  // namespace tfjs_torch::cuda
