#pragma once

#include <cstdint>

// Philox4x32-10 (Salmon et al. 2011), on the CPU and in CUDA's kernels; mswitch's src/ops/random/philox.ts gives the same bits.

#ifdef __CUDACC__
#define TFJS_TORCH_ANYWHERE __host__ __device__
#else
#define TFJS_TORCH_ANYWHERE
#endif

namespace tfjs_torch {

inline constexpr int kPhiloxRounds = 10;
inline constexpr uint32_t kPhiloxMultiplier0 = 0xd2511f53, kPhiloxMultiplier1 = 0xcd9e8d57;
inline constexpr uint32_t kPhiloxKeyStep0 = 0x9e3779b9, kPhiloxKeyStep1 = 0xbb67ae85;

struct Philox {
  uint32_t words[4];
};

// Number `block` of step `step`.
TFJS_TORCH_ANYWHERE inline Philox philox(uint32_t key0, uint32_t key1, uint64_t block, uint32_t step) {
  uint32_t x0 = static_cast<uint32_t>(block), x1 = static_cast<uint32_t>(block >> 32), x2 = step, x3 = 0;
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * x0, p1 = uint64_t{kPhiloxMultiplier1} * x2;
    x0 = static_cast<uint32_t>(p1 >> 32) ^ x1 ^ key0;
    x1 = static_cast<uint32_t>(p1);
    x2 = static_cast<uint32_t>(p0 >> 32) ^ x3 ^ key1;
    x3 = static_cast<uint32_t>(p0);
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return {{x0, x1, x2, x3}};
}

// What an entry is multiplied by, of a word; src/ops/random/noise.ts has the same. Jitter: a + b·u; dropout: 0 where u < a, else b.
struct NoiseFactors {
  bool isDropout;
  float a, b;
  TFJS_TORCH_ANYWHERE float operator()(uint32_t word) const {
    const float uniform = static_cast<float>(word >> 8) * 0x1p-24f;
    if (isDropout) return uniform < a ? 0.0f : b;
#ifdef __CUDA_ARCH__
    return __fadd_rn(a, __fmul_rn(b, uniform));  // two roundings, as on the CPU
#else
    const float scaled = b * uniform;
    return a + scaled;
#endif
  }
};

}  // namespace tfjs_torch
