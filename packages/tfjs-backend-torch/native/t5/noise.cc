// Entries times noise that is a function of a key, a step and an entry's place alone, the same bits wherever it is drawn: router jitter
// and dropout (mswitch's src/ops/noise.ts).
#include "cpu/simd.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/philox.h"
#include "runtime/registry.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

// Blocks begin to end − 1. Two roundings for each factor, as in JavaScript, where a CPU could do with one.
template <typename T>
__attribute__((optimize("fp-contract=off"))) void timesBlocks(const T* x, float* to, int64_t begin, int64_t end, int64_t size,
                                                              uint32_t key0, uint32_t key1, uint32_t step, NoiseFactors factors) {
  for (int64_t block = begin; block < end; ++block) {
    const Philox noise = philox(key0, key1, static_cast<uint64_t>(block), step);
    const int64_t first = block * 4, count = std::min<int64_t>(4, size - first);
    for (int64_t i = 0; i < count; ++i) to[first + i] = toFloat(x[first + i]) * factors(noise.words[i]);
  }
}

// x, step int32 [1]; whether dropout, two numbers (NoiseFactors), two words of a key -> x times noise, float32
void noise(Call& c) {
  const at::Tensor x = c.x(0).contiguous();
  const at::Tensor step = c.x(1);
  const bool isDropout = c.flag();
  const auto a = static_cast<float>(c.number()), b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  const auto key0 = static_cast<uint32_t>(key[0]), key1 = static_cast<uint32_t>(key[1]);
  const NoiseFactors factors{isDropout, a, b};
  const int64_t size = x.numel(), blocks = (size + 3) / 4;
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  float* const to = out.mutable_data_ptr<float>();
#ifdef TFJS_TORCH_CUDA
  if (onCuda(x)) {
    cuda::timesNoise(x.const_data_ptr(), x.scalar_type() == at::kBFloat16, step.const_data_ptr<int32_t>(), key0, key1, factors, size, to,
                     currentStream(x));
    return c.result(out);
  }
#else
  TORCH_CHECK(!onCuda(x), "noise on CUDA takes a build with nvcc");
#endif
  const auto at = static_cast<uint32_t>(step.item<int32_t>());
  withType(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* const from = x.const_data_ptr<T>();
    at::parallel_for(0, blocks, 1024,
                     [&](int64_t begin, int64_t end) { timesBlocks(from, to, begin, end, size, key0, key1, at, factors); });
  });
  c.result(out);
}

const Operations ops = {
    {"TorchNoise(x: float[...], step: int32[1]; isDropout: bool, a: number, b: number, key: ints[2] in [0, 4294967295]) -> y: "
     "float32[...]",
     noise},
};

}  // namespace

}  // namespace tfjs_torch
