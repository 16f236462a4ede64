// AdamW over all parameters in one call, in place.
#include <ATen/Parallel.h>

#include <numeric>

#include "cpu/simd.h"
#include "optim/parameters.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// src/ops/optimizers/adamw.ts has the same.
constexpr double kMinParameterRms = 1e-3;
// Of what one thread takes at a time. Fixed, so that sums come out alike with any number of threads.
constexpr int64_t kBlock = 1 << 15;
// Sums of float32 go this far before they are added up in a wider one.
constexpr int64_t kFew = 512;

struct AdamWOptions {
  float beta1, beta2, epsilon;
  double weightDecay;
  bool scaleByRms;
};

// What a step's numbers are for one matrix.
struct AdamWStep {
  float scale, rootCorrection, size, keep;
};

// Part of one matrix.
struct AdamWBlock {
  float* value;
  const void* gradient;
  bool isBfloat16;
  float *mean, *square;
  int64_t n, matrix;
};

[[gnu::always_inline]] inline double sumOfSquares(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t from = 0; from < n; from += kFew) {
    const int64_t to = std::min(from + kFew, n);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int64_t i = from; i < to; ++i) part += x[i] * x[i];
    sum += part;
  }
  return sum;
}

template <typename G>
[[gnu::always_inline]] inline void updateBlock(const AdamWBlock& b, const AdamWOptions& o, const AdamWStep& s) {
  const G* const g = static_cast<const G*>(b.gradient);
  const float rest1 = 1 - o.beta1, rest2 = 1 - o.beta2;
  float* const m = b.mean;
  float* const v = b.square;
  float* const p = b.value;
#pragma omp simd
  for (int64_t i = 0; i < b.n; ++i) {
    const float x = toFloat(g[i]) * s.scale;
    m[i] = m[i] * o.beta1 + x * rest1;
    v[i] = v[i] * o.beta2 + x * x * rest2;
    p[i] = p[i] * s.keep - s.size * m[i] / (std::sqrt(v[i]) / s.rootCorrection + o.epsilon);
  }
}

void onCpu(const OptimizerCall& call, const AdamWOptions& o) {
  if (!at::isfinite(call.guard).all().item<bool>()) return;
  const float* const rates = call.rates.const_data_ptr<float>();
  const double learningRate = rates[0], size = learningRate / rates[1];
  std::vector<AdamWBlock> blocks;
  std::vector<int64_t> sizes;
  std::vector<at::Tensor> gradients;  // keeps contiguous copies alive
  for (const OptimizedParameter& p : call.parameters) {
    gradients.push_back(p.gradient.contiguous());
    const auto* const g = static_cast<const char*>(gradients.back().const_data_ptr());
    const int64_t ofMatrix = p.rows * p.columns;
    for (int64_t s = 0; s < p.stack; ++s) {
      for (int64_t at = s * ofMatrix; at < (s + 1) * ofMatrix; at += kBlock) {
        blocks.push_back({p.value.mutable_data_ptr<float>() + at, g + at * p.gradient.element_size(),
                          p.gradient.scalar_type() == at::kBFloat16, p.moments[0].mutable_data_ptr<float>() + at,
                          p.moments[1].mutable_data_ptr<float>() + at, std::min(kBlock, (s + 1) * ofMatrix - at),
                          static_cast<int64_t>(sizes.size())});
      }
      sizes.push_back(ofMatrix);
    }
  }
  const auto forBlocks = [&](const auto& body) {
    at::parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t begin, int64_t end) {
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t b = begin; b < end; ++b) body(b);
      });
    });
  };
  std::vector<double> rms(sizes.size(), 1);
  if (o.scaleByRms) {
    std::vector<double> parts(blocks.size());
    forBlocks([&](int64_t b) TFJS_TORCH_INLINE_LAMBDA { parts[b] = sumOfSquares(blocks[b].value, blocks[b].n); });
    std::fill(rms.begin(), rms.end(), 0);
    for (size_t b = 0; b < blocks.size(); ++b) rms[blocks[b].matrix] += parts[b];
    for (size_t m = 0; m < sizes.size(); ++m) {
      rms[m] = std::max(std::sqrt(rms[m] / static_cast<double>(std::max<int64_t>(sizes[m], 1))), kMinParameterRms);
    }
  }
  const auto keep = static_cast<float>(1 - learningRate * o.weightDecay);
  forBlocks([&](int64_t b) TFJS_TORCH_INLINE_LAMBDA {
    const AdamWStep step{rates[3], rates[2], static_cast<float>(size * rms[blocks[b].matrix]), keep};
    if (blocks[b].isBfloat16)
      updateBlock<c10::BFloat16>(blocks[b], o, step);
    else
      updateBlock<float>(blocks[b], o, step);
  });
}

void byAten(const OptimizerCall& call, const AdamWOptions& o) {
  const at::Tensor isFinite = at::isfinite(call.guard).all();
  const auto rate = [&](int64_t at) { return call.rates.select(0, at); };
  for (const OptimizedParameter& p : call.parameters) {
    at::Tensor value = p.value.view({p.stack, p.rows, p.columns});
    const at::Tensor g = at::mul(p.gradient.to(at::kFloat).reshape(value.sizes()), rate(3));
    const auto average = [&](const at::Tensor& stored, const at::Tensor& latest, float beta) {
      at::Tensor moment = stored.view(value.sizes());
      moment.copy_(at::where(isFinite, at::add(at::mul(moment, beta), at::mul(latest, 1 - beta)), moment));
      return moment;
    };
    const at::Tensor mean = average(p.moments[0], g, o.beta1);
    const at::Tensor square = average(p.moments[1], at::square(g), o.beta2);
    at::Tensor size = at::div(rate(0), rate(1));
    if (o.scaleByRms) size = at::mul(at::sqrt(at::square(value).mean({1, 2}, true)).clamp_min(kMinParameterRms), size);
    const at::Tensor root = at::add(at::div(at::sqrt(square), rate(2)), o.epsilon);
    const at::Tensor decayed = at::mul(value, at::rsub(at::mul(rate(0), o.weightDecay), 1));
    value.copy_(at::where(isFinite, at::sub(decayed, at::mul(at::div(mean, root), size)), value));
  }
}

// Rates: learning rate, 1 − β₁ᵗ, √(1 − β₂ᵗ), the gradients' scale. Moments: mean, square.
void adamwOp(Call& c) {
  AdamWOptions o;
  o.beta1 = static_cast<float>(c.number());
  o.beta2 = static_cast<float>(c.number());
  o.epsilon = static_cast<float>(c.number());
  o.weightDecay = c.number();
  o.scaleByRms = c.flag();
  const OptimizerCall call = optimizerCall(c, 2);
  if (onCuda(call.rates))
    byAten(call, o);
  else
    onCpu(call, o);
}

const Operations ops = {
    {"TorchAdamW(rates: float32[4], guard: float32[...], parameters...: float[...]; beta1: number, beta2: number, epsilon: number, "
     "weightDecay: number, scaleByParameterRms: bool, layout: ints >= 0) -> nothing",
     adamwOp},
};

}  // namespace

}  // namespace tfjs_torch
