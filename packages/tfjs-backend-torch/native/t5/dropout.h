#pragma once

// Dropout of what fused layers compute in between, by the noise of t5/noise.cc: number i of a tensor has the same factor wherever it is
// drawn.

#include <ATen/ATen.h>

#include <algorithm>

#include "cpu/simd.h"
#include "runtime/call.h"
#include "runtime/philox.h"

namespace tfjs_torch {

struct Dropout {
  NoiseFactors factors{true, 0, 1};
  uint32_t key0 = 0, key1 = 0;
  at::Tensor step;  // int32 [1]; undefined where nothing is dropped
  bool isOn() const { return step.defined(); }
};

// Attributes rate, scale and key; the input `step`.
inline Dropout readDropout(Call& c, const at::Tensor& step) {
  Dropout dropout;
  dropout.factors.a = static_cast<float>(c.number());
  dropout.factors.b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  dropout.key0 = static_cast<uint32_t>(key[0]);
  dropout.key1 = static_cast<uint32_t>(key[1]);
  dropout.step = step;
  return dropout;
}

// x times the noise, float32 (t5/noise.cc).
at::Tensor timesNoise(const at::Tensor& x, const at::Tensor& step, uint32_t key0, uint32_t key1, const NoiseFactors& factors);

// The factors of a tensor of these sizes, float32.
inline at::Tensor dropoutFactors(const Dropout& dropout, at::IntArrayRef sizes, const at::TensorOptions& options) {
  return timesNoise(at::ones(sizes, options.dtype(at::kFloat)), dropout.step, dropout.key0, dropout.key1, dropout.factors);
}

// x with its entries dropped, in its own dtype.
inline at::Tensor dropped(const at::Tensor& x, const Dropout& dropout) {
  return timesNoise(x, dropout.step, dropout.key0, dropout.key1, dropout.factors).to(x.scalar_type());
}

// The same on the CPU, row by row.
class DropoutRows {
 public:
  DropoutRows() = default;
  explicit DropoutRows(const Dropout& dropout)
      : factors_(dropout.factors),
        key0_(dropout.key0),
        key1_(dropout.key1),
        step_(dropout.isOn() ? static_cast<uint32_t>(dropout.step.item<int32_t>()) : 0),
        isOn_(dropout.isOn()) {}

  bool isOn() const { return isOn_; }

  // Factors of entries first to first + count − 1.
  [[gnu::always_inline]] inline void draw(int64_t first, int64_t count, float* to) const {
    const int64_t skipped = first % 4;
    for (int64_t done = -skipped; done < count; done += kBlocks * 4) {
      float drawn[kBlocks * 4];
      drawBlocks(static_cast<uint64_t>((first + done) / 4), drawn);
      const int64_t begin = std::max<int64_t>(done, 0), end = std::min(done + kBlocks * 4, count);
      for (int64_t i = begin; i < end; ++i) to[i] = drawn[i - done];
    }
  }

  // x[i] times the factor of entry first + i.
  template <typename T>
  [[gnu::always_inline]] inline void apply(T* x, int64_t first, int64_t count) const {
    constexpr int64_t kPiece = 256;
    float drawn[kPiece];
    for (int64_t at = 0; at < count; at += kPiece) {
      const int64_t n = std::min(kPiece, count - at);
      draw(first + at, n, drawn);
      T* const piece = x + at;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) fromFloat(toFloat(piece[i]) * drawn[i], piece[i]);
    }
  }

 private:
  static constexpr int64_t kBlocks = 16;

  // Philox4x32-10 of so many blocks side by side, as runtime/philox.h has it for one.
  [[gnu::always_inline]] inline void drawBlocks(uint64_t block, float* to) const {
    uint32_t x0[kBlocks], x1[kBlocks], x2[kBlocks], x3[kBlocks];
#pragma omp simd
    for (int64_t i = 0; i < kBlocks; ++i) {
      const uint64_t number = block + static_cast<uint64_t>(i);
      x0[i] = static_cast<uint32_t>(number);
      x1[i] = static_cast<uint32_t>(number >> 32);
      x2[i] = step_;
      x3[i] = 0;
    }
    uint32_t key0 = key0_, key1 = key1_;
    for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma omp simd
      for (int64_t i = 0; i < kBlocks; ++i) {
        const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * x0[i], p1 = uint64_t{kPhiloxMultiplier1} * x2[i];
        x0[i] = static_cast<uint32_t>(p1 >> 32) ^ x1[i] ^ key0;
        x1[i] = static_cast<uint32_t>(p1);
        x2[i] = static_cast<uint32_t>(p0 >> 32) ^ x3[i] ^ key1;
        x3[i] = static_cast<uint32_t>(p0);
      }
      key0 += kPhiloxKeyStep0;
      key1 += kPhiloxKeyStep1;
    }
#pragma omp simd
    for (int64_t i = 0; i < kBlocks; ++i) {
      to[4 * i] = factor(x0[i]);
      to[4 * i + 1] = factor(x1[i]);
      to[4 * i + 2] = factor(x2[i]);
      to[4 * i + 3] = factor(x3[i]);
    }
  }

  [[gnu::always_inline]] inline float factor(uint32_t word) const {
    return static_cast<float>(word >> 8) * 0x1p-24f < factors_.a ? 0.0f : factors_.b;
  }

  NoiseFactors factors_{true, 0, 1};
  uint32_t key0_ = 0, key1_ = 0, step_ = 0;
  bool isOn_ = false;
};

}  // namespace tfjs_torch
