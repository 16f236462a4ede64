// Entries times noise that is a function of a key, a step and an entry's place alone, the same bits wherever it is drawn: router jitter
// and dropout (mswitch's src/ops/random/noise.ts).
#include "cpu/simd.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/philox.h"
#include "runtime/registry.h"
#include "t5/dropout.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr int64_t kLanes = 16, kBlocksAtOnce = 16 * kLanes;

// The words of so many blocks, a multiple of kLanes: runtime/philox.h's, many side by side.
[[gnu::always_inline]] inline void philoxBlocks(uint32_t key0, uint32_t key1, uint64_t first, uint32_t step, int64_t count,
                                                uint32_t* words) {
  for (int64_t block = 0; block < count; block += kLanes) {
    uint32_t x[4][kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      const uint64_t number = first + static_cast<uint64_t>(block + i);
      x[0][i] = static_cast<uint32_t>(number);
      x[1][i] = static_cast<uint32_t>(number >> 32);
      x[2][i] = step;
      x[3][i] = 0;
    }
    uint32_t k0 = key0, k1 = key1;
    for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma omp simd
      for (int64_t i = 0; i < kLanes; ++i) {
        const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * x[0][i], p1 = uint64_t{kPhiloxMultiplier1} * x[2][i];
        x[0][i] = static_cast<uint32_t>(p1 >> 32) ^ x[1][i] ^ k0;
        x[1][i] = static_cast<uint32_t>(p1);
        x[2][i] = static_cast<uint32_t>(p0 >> 32) ^ x[3][i] ^ k1;
        x[3][i] = static_cast<uint32_t>(p0);
      }
      k0 += kPhiloxKeyStep0;
      k1 += kPhiloxKeyStep1;
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      for (int64_t w = 0; w < 4; ++w) words[(block + i) * 4 + w] = x[w][i];
    }
  }
}

// Entries times the factors of their words. Two roundings for each factor, as in JavaScript, where a CPU could do with one.
template <typename T>
__attribute__((noinline, optimize("fp-contract=off"))) void timesFactors(const T* x, const uint32_t* words, float* to, int64_t count,
                                                                         NoiseFactors factors) {
  for (int64_t i = 0; i < count; ++i) to[i] = toFloat(x[i]) * factors(words[i]);
}

// Blocks begin to end − 1.
template <typename T>
void timesBlocks(const T* x, float* to, int64_t begin, int64_t end, int64_t size, uint32_t key0, uint32_t key1, uint32_t step,
                 NoiseFactors factors) {
  uint32_t words[kBlocksAtOnce * 4];
  for (int64_t block = begin; block < end; block += kBlocksAtOnce) {
    const int64_t blocks = std::min(kBlocksAtOnce, end - block), first = block * 4;
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
      philoxBlocks(key0, key1, static_cast<uint64_t>(block), step, (blocks + kLanes - 1) / kLanes * kLanes, words);
    });
    timesFactors(x + first, words, to + first, std::min(blocks * 4, size - first), factors);
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

at::Tensor timesNoise(const at::Tensor& of, const at::Tensor& step, uint32_t key0, uint32_t key1, const NoiseFactors& factors) {
  const at::Tensor x = of.contiguous();
  const int64_t size = x.numel(), blocks = (size + 3) / 4;
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(at::kFloat));
  float* const to = out.mutable_data_ptr<float>();
#ifdef TFJS_TORCH_CUDA
  if (onCuda(x) && hasCudaKernels()) {
    cuda::timesNoise(x.const_data_ptr(), x.scalar_type() == at::kBFloat16, step.const_data_ptr<int32_t>(), key0, key1, factors, size, to,
                     currentStream(x));
    return out;
  }
#endif
  if (onCuda(x)) return timesNoiseByAten(x, step, key0, key1, factors);
  const auto at = static_cast<uint32_t>(step.item<int32_t>());
  withType(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* const from = x.const_data_ptr<T>();
    if (factors.isDropout) {
      const DropoutRows rows({factors, key0, key1, step});
      parallelSimd(size, 1 << 13, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
        copyRow(from + begin, to + begin, end - begin);
        rows.apply(to + begin, begin, end - begin);
      });
      return;
    }
    at::parallel_for(0, blocks, 1024,
                     [&](int64_t begin, int64_t end) { timesBlocks(from, to, begin, end, size, key0, key1, at, factors); });
  });
  return out;
}

namespace {

// x, step int32 [1]; whether dropout, two numbers (NoiseFactors), two words of a key -> x times noise, float32
void noise(Call& c) {
  const bool isDropout = c.flag();
  const auto a = static_cast<float>(c.number()), b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  c.result(timesNoise(c.x(0), c.x(1), static_cast<uint32_t>(key[0]), static_cast<uint32_t>(key[1]), {isDropout, a, b}));
}

const Operations ops = {
    {"TorchNoise(x: float[...], step: int32[1]; isDropout: bool, a: number, b: number, key: ints[2] in [0, 4294967295]) -> y: "
     "float32[...]",
     noise},
};

}  // namespace

}  // namespace tfjs_torch
