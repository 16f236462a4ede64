#pragma once

// Dropout of what fused layers compute in between, by the noise of t5/noise.cc: number i of a tensor has the same factor wherever it is
// drawn.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "cpu/philox_words.h"
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

// x times the noise (t5/noise.cc).
at::Tensor timesNoise(const at::Tensor& x, const at::Tensor& step, uint32_t key0, uint32_t key1, const NoiseFactors& factors,
                      at::ScalarType type = at::kFloat);

// The factors of a tensor of these sizes, float32.
inline at::Tensor dropoutFactors(const Dropout& dropout, at::IntArrayRef sizes, const at::TensorOptions& options) {
  return timesNoise(at::ones(sizes, options.dtype(at::kFloat)), dropout.step, dropout.key0, dropout.key1, dropout.factors);
}

// x with its entries dropped, in its own dtype; x itself where nothing is dropped.
inline at::Tensor dropped(const at::Tensor& x, const Dropout& dropout) {
  return dropout.isOn() ? timesNoise(x, dropout.step, dropout.key0, dropout.key1, dropout.factors, x.scalar_type()) : x;
}

// Which of a row's entries are kept, one bit each, and what those are multiplied by. Without bits all are kept as they are.
struct Kept {
  const uint64_t* bits = nullptr;
  float scale = 1;
};

// to[i] ← x[i] times its factor.
template <typename X, typename T>
[[gnu::always_inline]] inline void timesKept(const Kept& kept, const X* x, T* to, int64_t count) {
  constexpr int64_t kPiece = 32;
  const float scale = kept.scale;
  const auto piece = [=](uint32_t bits, const X* from, T* into, int64_t n) TFJS_TORCH_INLINE_LAMBDA {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) fromFloat(toFloat(from[i]) * ((bits >> i & 1) != 0 ? scale : 0.0f), into[i]);
  };
  for (int64_t at = 0; at < count; at += kPiece) {
    const auto bits = static_cast<uint32_t>(kept.bits[at / 64] >> (at % 64));
    if (at + kPiece <= count) {
      piece(bits, x + at, to + at, kPiece);
    } else {
      piece(bits, x + at, to + at, count - at);
    }
  }
}

// The same on the CPU, row by row. Which entries are kept is one bit each, drawn where it is needed.
class DropoutRows {
 public:
  DropoutRows() = default;
  explicit DropoutRows(const Dropout& dropout) : isOn_(dropout.isOn()) {
    if (!isOn_) return;
    draws_ = PhiloxDraws(dropout.key0, dropout.key1, static_cast<uint32_t>(dropout.step.item<int32_t>()));
    // An entry is kept where its word's upper 24 bits are a number of 2^-24 that is not below the rate (runtime/philox.h).
    const float rate = dropout.factors.a;
    scale_ = rate < 1 ? dropout.factors.b : 0;
    least_ = rate > 0 ? static_cast<uint32_t>(std::ceil(std::min(rate, kMostRate) * 0x1p24f)) << 8 : 0;
  }

  bool isOn() const { return isOn_; }
  // What an entry is multiplied by that is kept.
  float scale() const { return scale_; }

  // Words of bits that `draw` writes for so many entries, at most.
  static constexpr int64_t bitWords(int64_t count) { return count / kPhiloxWords + 2; }

  // Bit i: whether entry first + i is kept. Bits from `count` on may have any value.
  void draw(int64_t first, int64_t count, uint64_t* bits) const {
    const int64_t skipped = first % 4, groups = (skipped + count + kPhiloxWords - 1) / kPhiloxWords;
    philoxBits(draws_, static_cast<uint64_t>(first / 4), groups, least_, bits);
    if (skipped == 0) return;
    for (int64_t g = 0; g < groups; ++g) {
      const uint64_t next = g + 1 < groups ? bits[g + 1] : 0;
      bits[g] = bits[g] >> skipped | next << (kPhiloxWords - skipped);
    }
  }

  static constexpr int64_t kPiece = 1024;

  // body(begin, end, kept) for pieces of a row of `count` entries, the first of which is number `first`; one piece where nothing is
  // dropped.
  template <typename F>
  [[gnu::always_inline]] inline void forPieces(int64_t first, int64_t count, const F& body) const {
    if (!isOn_) return body(0, count, Kept());
    uint64_t bits[bitWords(kPiece)];
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      const int64_t end = std::min(begin + kPiece, count);
      draw(first + begin, end - begin, bits);
      body(begin, end, Kept{bits, scale_});
    }
  }

 private:
  static constexpr float kMostRate = 1 - 0x1p-24f;

  PhiloxDraws draws_;
  float scale_ = 1;
  uint32_t least_ = 0;
  bool isOn_ = false;
};

}  // namespace tfjs_torch
