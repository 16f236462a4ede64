// The likeliest token of a state, by an output layer that is read as bytes, a quarter of its size. States are rounded to bytes too; logits
// of bytes are within a bound of the real ones, and only tokens that could be the likeliest by it are computed in float32.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/byte_products.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Bytes of the output layer are 128 more than what they stand for: VNNI multiplies bytes with a sign by bytes without.
constexpr int32_t kOffset = 128;
constexpr float kMost = 127;
// What float32 rounds in a sum of squares, at most.
constexpr float kSlack = 1.001f;

// To the nearest.
[[gnu::always_inline]] inline int32_t rounded(float x) { return static_cast<int32_t>(x + (x < 0 ? -0.5f : 0.5f)); }

// weight [V, D] -> its rows as bytes, four to an int32 [V, D / 4], and of each row the bytes' scale, ‖w - scale·bytes‖ with what float32
// may round of a product with a state of norm 1, and ‖scale·bytes‖: [3, V]
void packHead(Call& c) {
  const at::Tensor weight = c.x(0).contiguous();
  const int64_t vocab = weight.size(0), d = weight.size(1);
  if (onCuda(weight)) {
    const auto norm = [](const at::Tensor& x) { return (x * x).sum({1}).sqrt(); };
    const at::Tensor scale = at::amax(at::abs(weight), {1}, true) / kMost;
    const at::Tensor near = at::round(weight / scale.clamp_min(1e-30));
    c.result((near + kOffset).to(at::kByte).view(at::kInt));
    c.result(at::stack({scale.squeeze(1), kSlack * norm(weight - scale * near) + 1e-4 * norm(weight), kSlack * norm(scale * near)}));
    return;
  }
  at::Tensor bytes = at::empty({vocab, d}, weight.options().dtype(at::kByte));
  at::Tensor bounds = at::empty({3, vocab}, weight.options());
  const float* const from = weight.const_data_ptr<float>();
  uint8_t* const to = bytes.mutable_data_ptr<uint8_t>();
  float* const bound = bounds.mutable_data_ptr<float>();
  parallelSimd(vocab, grainFor(d), [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t v = begin; v < end; ++v) {
      const float* const w = from + v * d;
      uint8_t* const q = to + v * d;
      float most = 0, norm = 0, near = 0, error = 0;
#pragma omp simd reduction(max : most)
      for (int64_t i = 0; i < d; ++i) most = std::max(most, std::abs(w[i]));
      const float scale = most / kMost, inverse = most > 0 ? kMost / most : 0;
#pragma omp simd reduction(+ : norm, near, error)
      for (int64_t i = 0; i < d; ++i) {
        const int32_t byte = rounded(w[i] * inverse);
        q[i] = static_cast<uint8_t>(byte + kOffset);
        const float value = scale * static_cast<float>(byte), rest = w[i] - value;
        norm += w[i] * w[i];
        near += value * value;
        error += rest * rest;
      }
      bound[v] = scale;
      bound[vocab + v] = kSlack * std::sqrt(error) + 1e-4f * std::sqrt(norm);
      bound[2 * vocab + v] = kSlack * std::sqrt(near);
    }
  });
  c.result(bytes.view(at::kInt));
  c.result(bounds);
}

// States [N, D] as bytes, each with its scale, its norm, ‖h - scale·bytes‖ and the offset's part of its sums.
struct States {
  int64_t apart;  // bytes between rows
  std::vector<int8_t> bytes;
  std::vector<float> scale, norm, error;
  std::vector<int32_t> offset;
  States(const float* h, int64_t rows, int64_t d)
      : apart((d + 63) / 64 * 64), bytes(rows * apart), scale(rows), norm(rows), error(rows), offset(rows) {
    for (int64_t n = 0; n < rows; ++n, h += d) {
      float most = 0, squares = 0, rest = 0;
      for (int64_t i = 0; i < d; ++i) {
        most = std::max(most, std::abs(h[i]));
        squares += h[i] * h[i];
      }
      norm[n] = std::sqrt(squares);
      // A state that is not finite has no bounds.
      scale[n] = std::isfinite(squares) ? most / kMost : std::numeric_limits<float>::quiet_NaN();
      const float inverse = std::isfinite(squares) && most > 0 ? kMost / most : 0;
      int32_t sum = 0;
      for (int64_t i = 0; i < d && inverse > 0; ++i) {
        const int32_t byte = rounded(h[i] * inverse);
        bytes[n * apart + i] = static_cast<int8_t>(byte);
        sum += byte;
        rest += (h[i] - scale[n] * static_cast<float>(byte)) * (h[i] - scale[n] * static_cast<float>(byte));
      }
      error[n] = kSlack * std::sqrt(rest);
      offset[n] = kOffset * sum;
    }
  }
};

[[gnu::always_inline]] inline float dot(const float* x, const float* y, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// hidden [N, D], weight [V, D], bytes and bounds of packHead -> the id of the largest hidden·w of each row, the first of equals
void likeliestToken(Call& c) {
  const at::Tensor &hidden = c.x(0), &weight = c.x(1);
  const int64_t rows = hidden.size(0), d = hidden.size(1), vocab = weight.size(0);
  if (onCuda(hidden)) return c.result(at::argmax(at::mm(hidden, weight.t()), 1).to(at::kInt));
  const at::Tensor bytes = c.x(2).contiguous(), bounds = c.x(3).contiguous();
  const float *const h = hidden.const_data_ptr<float>(), *const w = weight.const_data_ptr<float>();
  const auto* const q = reinterpret_cast<const uint8_t*>(bytes.const_data_ptr<int32_t>());
  const float *const scales = bounds.const_data_ptr<float>(), *const errors = scales + vocab, *const norms = errors + vocab;
  const States states(h, rows, d);
  constexpr int64_t kBlock = 512;
  const int64_t blocks = (vocab + kBlock - 1) / kBlock;
  // What a logit is at most; of a block, what its largest is at least, and at most.
  const at::Tensor upper = at::empty({rows, vocab}, hidden.options());
  float* const most = upper.mutable_data_ptr<float>();
  std::vector<float> lowest(rows * blocks), highest(rows * blocks);
  forTasks(blocks, [&](int64_t, int64_t block) {
    const int64_t first = block * kBlock, count = std::min(vocab - first, kBlock);
    std::vector<int32_t> sums(rows * kBlock);
    const ByteProducts products{q + first * d, states.bytes.data(), count, rows, d, states.apart, sums.data(), kBlock};
    int64_t done = 0;
#ifdef TFJS_TORCH_BYTE_VECTORS
    if (vectors::hasByteProducts()) done = vectors::byteProducts(products);
#endif
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
      byteProducts(products, done);
      for (int64_t n = 0; n < rows; ++n) {
        const float scale = states.scale[n], norm = states.norm[n], error = states.error[n];
        const int32_t offset = states.offset[n], *const sum = sums.data() + n * kBlock;
        float* const to = most + n * vocab + first;
        float low = -kInfinity, high = -kInfinity;
#pragma omp simd reduction(max : low, high)
        for (int64_t i = 0; i < count; ++i) {
          const int64_t v = first + i;
          const float near = static_cast<float>(sum[i] - offset) * (scale * scales[v]), bound = norm * errors[v] + error * norms[v];
          const float least = near - bound, value = near + bound;
          // What is no number has no bound.
          to[i] = value == value ? value : kInfinity;
          low = least > low ? least : low;
          high = to[i] > high ? to[i] : high;
        }
        lowest[n * blocks + block] = low;
        highest[n * blocks + block] = high;
      }
    });
  });
  at::Tensor ids = at::empty({rows}, hidden.options().dtype(at::kInt));
  int32_t* const out = ids.mutable_data_ptr<int32_t>();
  simd([&]() TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t n = 0; n < rows; ++n) {
      const auto lows = lowest.begin() + n * blocks;
      const float least = *std::max_element(lows, lows + blocks);
      float best = -kInfinity;
      int32_t id = 0;
      for (int64_t v = 0; v < vocab; ++v) {
        if (v % kBlock == 0 && highest[n * blocks + v / kBlock] < least) {
          v += kBlock - 1;
          continue;
        }
        if (most[n * vocab + v] < least) continue;
        const float logit = dot(h + n * d, w + v * d, d);
        if (logit > best) {
          best = logit;
          id = static_cast<int32_t>(v);
        }
      }
      out[n] = id;
    }
  });
  c.result(ids);
}

const Operations ops = {
    {"TorchPackHead(weight: contiguous float32[V, D]) -> bytes: int32, bounds: float32[3, V] where V >= 1, D >= 4", packHead},
    {"TorchLikeliestToken(hidden: contiguous float32[N, D], weight: contiguous float32[V, D], bytes: int32[V, P], bounds: float32[3, V]) "
     "-> ids: int32[N] where N >= 1, V >= 1, D = 4 * P",
     likeliestToken},
};

}  // namespace

}  // namespace tfjs_torch
