// RMSNorm, forward and backward in one kernel each, a block a row. No atomics: the same input gives the same bits.
#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/row_math.cuh"

namespace tfjs_torch::cuda {
namespace {

constexpr int kPack = 4;
constexpr int64_t kGradientBlocks = 1056;  // 8 a multiprocessor of an H100

// A row is read twice, the second time from the cache.
template <typename X, typename Y>
__global__ void normKernel(const X* x, const float* weight, float epsilon, int64_t width, Y* y, float* inverse) {
  const X* const xn = x + blockIdx.x * width;
  Y* const yn = y + blockIdx.x * width;
  const int64_t step = static_cast<int64_t>(blockDim.x) * kPack;
  float sum = 0;
  for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
    const Pack<X, kPack> values = loadPack<kPack>(xn + c);
    for (int i = 0; i < kPack; ++i) sum += toFloat(values.v[i]) * toFloat(values.v[i]);
  }
  const float scale = rsqrtf(sumOfBlock(sum) / width + epsilon);
  if (threadIdx.x == 0) inverse[blockIdx.x] = scale;
  for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
    const Pack<X, kPack> values = loadPack<kPack>(xn + c);
    const Pack<float, kPack> w = loadPack<kPack>(weight + c);
    Pack<Y, kPack> out;
    for (int i = 0; i < kPack; ++i) fromFloat(toFloat(values.v[i]) * scale * w.v[i], out.v[i]);
    storePack(out, yn + c);
  }
}

// dx = inverse·(dy·w − x̂·mean(dy·w·x̂)) [+ known]. A thread adds up the weight's gradient of its columns over the rows of its block in
// shared memory, and partial [blocks, width] holds the blocks' sums.
template <typename X, typename Y>
__global__ void normGradKernel(const Y* dy, const X* x, const float* weight, const float* inverse, const X* known, int64_t rows,
                               int64_t width, X* dx, float* partial) {
  extern __shared__ float dWeight[];
  const int64_t step = static_cast<int64_t>(blockDim.x) * kPack;
  for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
    for (int i = 0; i < kPack; ++i) dWeight[c + i] = 0;
  }
  for (int64_t n = blockIdx.x; n < rows; n += gridDim.x) {
    const float scale = inverse[n];
    float along = 0;
    for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
      const Pack<X, kPack> values = loadPack<kPack>(x + n * width + c);
      const Pack<Y, kPack> d = loadPack<kPack>(dy + n * width + c);
      const Pack<float, kPack> w = loadPack<kPack>(weight + c);
      for (int i = 0; i < kPack; ++i) {
        const float product = toFloat(d.v[i]) * toFloat(values.v[i]) * scale;
        dWeight[c + i] += product;
        along += product * w.v[i];
      }
    }
    along = sumOfBlock(along) / width;
    for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
      const Pack<X, kPack> values = loadPack<kPack>(x + n * width + c);
      const Pack<Y, kPack> d = loadPack<kPack>(dy + n * width + c);
      const Pack<float, kPack> w = loadPack<kPack>(weight + c);
      Pack<X, kPack> more{}, out;
      if (known != nullptr) more = loadPack<kPack>(known + n * width + c);
      for (int i = 0; i < kPack; ++i) {
        const float value = scale * (toFloat(d.v[i]) * w.v[i] - toFloat(values.v[i]) * scale * along);
        fromFloat(known == nullptr ? value : value + toFloat(more.v[i]), out.v[i]);
      }
      storePack(out, dx + n * width + c);
    }
  }
  for (int64_t c = threadIdx.x * kPack; c < width; c += step) {
    for (int i = 0; i < kPack; ++i) partial[blockIdx.x * width + c + i] = dWeight[c + i];
  }
}

// Calls body(X*, Y*) with null pointers of the element types.
template <typename Body>
void withTypes(bool isBfloat16X, bool isBfloat16Y, const Body& body) {
  const auto second = [&](auto* x) { isBfloat16Y ? body(x, static_cast<__nv_bfloat16*>(nullptr)) : body(x, static_cast<float*>(nullptr)); };
  isBfloat16X ? second(static_cast<__nv_bfloat16*>(nullptr)) : second(static_cast<float*>(nullptr));
}

int threadsOfRow(int64_t width) {
  const int64_t threads = (width / kPack + kWarpThreads - 1) / kWarpThreads * kWarpThreads;
  return static_cast<int>(threads < 512 ? threads : 512);
}

}  // namespace

bool hasNormKernel(int64_t width) {
  return width > 0 && width % kPack == 0 && width * static_cast<int64_t>(sizeof(float)) <= kDynamicSharedBytes;
}

int64_t normGradientBlocks(int64_t rows) { return rows < kGradientBlocks ? rows : kGradientBlocks; }

void rmsNorm(const void* x, bool isBfloat16X, const float* weight, float epsilon, int64_t rows, int64_t width, void* y, bool isBfloat16Y,
             float* inverse, cudaStream_t stream) {
  withTypes(isBfloat16X, isBfloat16Y, [&](auto* in, auto* out) {
    using X = std::remove_pointer_t<decltype(in)>;
    using Y = std::remove_pointer_t<decltype(out)>;
    launch("rmsNorm", normKernel<X, Y>, rows, threadsOfRow(width), 0, stream, static_cast<const X*>(x), weight, epsilon, width,
           static_cast<Y*>(y), inverse);
  });
}

void rmsNormGradient(const void* dy, bool isBfloat16Y, const void* x, bool isBfloat16X, const float* weight, const float* inverse,
                     const void* known, int64_t rows, int64_t width, void* dx, float* partial, cudaStream_t stream) {
  withTypes(isBfloat16X, isBfloat16Y, [&](auto* in, auto* out) {
    using X = std::remove_pointer_t<decltype(in)>;
    using Y = std::remove_pointer_t<decltype(out)>;
    launch("rmsNormGradient", normGradKernel<X, Y>, normGradientBlocks(rows), threadsOfRow(width),
           width * static_cast<int64_t>(sizeof(float)), stream, static_cast<const Y*>(dy), static_cast<const X*>(x), weight, inverse,
           static_cast<const X*>(known), rows, width, static_cast<X*>(dx), partial);
  });
}

}  // namespace tfjs_torch::cuda
