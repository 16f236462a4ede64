// Entries times noise that is a function of a key, a step and an entry's place alone, the same bits wherever it is drawn: router jitter
// and dropout (mswitch's src/ops/random/noise.ts).
#include "cpu/simd.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/philox.h"
#include "runtime/registry.h"
#include "t5/dropout.h"
#include "t5/jitter.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr int64_t kEntriesAtOnce = 1024;

// Entries begin to end − 1 of x times jitter.
template <typename T>
void timesJitter(const T* x, float* to, int64_t begin, int64_t end, const PhiloxDraws& draws, const NoiseFactors& jitter) {
  float factors[kEntriesAtOnce];
  for (int64_t at = begin; at < end; at += kEntriesAtOnce) {
    const int64_t count = std::min(kEntriesAtOnce, end - at);
    jitterFactors(draws, jitter, at, count, factors);
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[at + i] = toFloat(x[at + i]) * factors[i];
    });
  }
}

// The high and the low word of products of 32-bit words.
std::pair<at::Tensor, at::Tensor> multiplyWords(int64_t a, const at::Tensor& x) {
  constexpr int64_t kWord = 0xffffffff, kHalf = 0xffff;
  const at::Tensor low = at::mul(at::bitwise_and(x, kHalf), a), high = at::mul(at::bitwise_right_shift(x, 16), a);
  const at::Tensor carried = at::bitwise_left_shift(at::bitwise_and(high, kHalf), 16);
  return {at::bitwise_right_shift(high + at::bitwise_right_shift(low, 16), 16), at::bitwise_and(carried + low, kWord)};
}

// The same by ATen's operations, on any device: the reference of the kernels. Words are int64.
at::Tensor timesNoiseByAten(const at::Tensor& x, const at::Tensor& step, uint32_t key0, uint32_t key1, const NoiseFactors& factors) {
  const int64_t size = x.numel(), blocks = (size + 3) / 4;
  const at::Tensor block = at::arange(blocks, x.options().dtype(at::kLong));
  at::Tensor x0 = at::bitwise_and(block, int64_t{0xffffffff}), x1 = at::bitwise_right_shift(block, 32);
  at::Tensor x2 = at::bitwise_and(step.to(at::kLong), int64_t{0xffffffff}).expand({blocks}), x3 = at::zeros_like(block);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const auto [high0, low0] = multiplyWords(kPhiloxMultiplier0, x0);
    const auto [high1, low1] = multiplyWords(kPhiloxMultiplier1, x2);
    x0 = at::bitwise_xor(at::bitwise_xor(high1, x1), static_cast<int64_t>(key0));
    x1 = low1;
    x2 = at::bitwise_xor(at::bitwise_xor(high0, x3), static_cast<int64_t>(key1));
    x3 = low0;
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  const at::Tensor words = at::stack({x0, x1, x2, x3}, 1).reshape({-1}).narrow(0, 0, size).reshape(x.sizes());
  const at::Tensor uniform = at::bitwise_right_shift(words, 8).to(at::kFloat) * 0x1p-24f;
  const at::Tensor scaled = factors.isDropout ? at::mul(at::ge(uniform, factors.a).to(at::kFloat), factors.b) : uniform * factors.b;
  return at::mul(x.to(at::kFloat), factors.isDropout ? scaled : scaled + factors.a);
}

}  // namespace

at::Tensor timesNoise(const at::Tensor& of, const at::Tensor& step, uint32_t key0, uint32_t key1, const NoiseFactors& factors,
                      at::ScalarType type) {
  const at::Tensor x = of.contiguous();
  const int64_t size = x.numel();
#ifdef TFJS_TORCH_CUDA
  if (onCuda(x) && hasCudaKernels()) {
    at::Tensor out = at::empty(x.sizes(), x.options().dtype(at::kFloat));
    cuda::timesNoise(x.const_data_ptr(), x.scalar_type() == at::kBFloat16, step.const_data_ptr<int32_t>(), key0, key1, factors, size,
                     out.mutable_data_ptr<float>(), currentStream(x));
    return out.to(type);
  }
#endif
  if (onCuda(x)) return timesNoiseByAten(x, step, key0, key1, factors).to(type);
  if (factors.isDropout) {
    at::Tensor out = at::empty(x.sizes(), x.options().dtype(type));
    const DropoutRows entries({factors, key0, key1, step});
    withType(x, [&](auto* in) {
      withType(out, [&](auto* result) {
        const auto* const from = x.const_data_ptr<std::remove_pointer_t<decltype(in)>>();
        auto* const to = out.mutable_data_ptr<std::remove_pointer_t<decltype(result)>>();
        parallelSimd(size, 1 << 14, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
          entries.forPieces(begin, end - begin, [=](int64_t first, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
            timesKept(kept, from + begin + first, to + begin + first, last - first);
          });
        });
      });
    });
    return out;
  }
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  const PhiloxDraws draws(key0, key1, static_cast<uint32_t>(step.item<int32_t>()));
  withType(x, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    const T* const from = x.const_data_ptr<T>();
    float* const to = out.mutable_data_ptr<float>();
    at::parallel_for(0, (size + 3) / 4, kEntriesAtOnce,
                     [&](int64_t begin, int64_t end) { timesJitter(from, to, 4 * begin, std::min(4 * end, size), draws, factors); });
  });
  return out.to(type);
}

namespace {

// x, step int32 [1]; whether dropout, two numbers (NoiseFactors), two words of a key; bfloat16 result -> x times noise
void noise(Call& c) {
  const bool isDropout = c.flag();
  const auto a = static_cast<float>(c.number()), b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  const at::ScalarType type = c.flag() ? at::kBFloat16 : at::kFloat;
  c.result(timesNoise(c.x(0), c.x(1), static_cast<uint32_t>(key[0]), static_cast<uint32_t>(key[1]), {isDropout, a, b}, type));
}

const Operations ops = {
    {"TorchNoise(x: float[...], step: int32[1]; isDropout: bool, a: number, b: number, key: ints[2] in [0, 4294967295], precision: "
     "{float32, bfloat16}) -> y: float[...]",
     noise},
};

}  // namespace

}  // namespace tfjs_torch
