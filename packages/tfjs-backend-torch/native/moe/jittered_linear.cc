// The router's linear layer of jittered tokens: (x ⊙ factors)·Wᵀ in float32, forward and backward.
#include <c10/core/InferenceMode.h>

#include "cpu/gemm/matmul.h"
#include "cpu/tasks.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/dropout.h"
#include "t5/jitter.h"

namespace tfjs_torch {
namespace {

// body(first row, rows) for ranges whose entries stay in the second cache, of whole eights of rows but for the last.
template <typename F>
void forRows(int64_t rows, int64_t width, const F& body) {
  constexpr int64_t kEntries = 1 << 15, kRows = 8;
  const int64_t each = std::max<int64_t>(kEntries / width / kRows, 1) * kRows, tasks = std::max<int64_t>(rows / each, 1);
  forTasks(tasks, [&](int64_t, int64_t task) {
    const c10::InferenceMode inference;  // a thread's own
    body(task * each, (task == tasks - 1 ? rows : (task + 1) * each) - task * each);
  });
}

// to ← x ⊙ factors
template <typename X, typename T>
void timesFactors(const X* x, const float* factors, T* to, int64_t count) {
  simd([&]() TFJS_TORCH_INLINE_LAMBDA {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) fromFloat(toFloat(x[i]) * factors[i], to[i]);
  });
}

// x [N, D], weight [O, D], step int32 [1]; jitter's two numbers and the words of its key -> y [N, O], factors [N, D].
void jitteredLinear(Call& c) {
  const at::Tensor x = c.x(0).contiguous(), weight = c.x(1).to(at::kFloat).contiguous(), &step = c.x(2);
  const auto a = static_cast<float>(c.number()), b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  const auto key0 = static_cast<uint32_t>(key[0]), key1 = static_cast<uint32_t>(key[1]);
  const NoiseFactors jitter{false, a, b};
  const auto options = c.options(at::kFloat);
  if (onCuda(x)) {
    const at::Tensor factors = timesNoise(at::ones(x.sizes(), options), step, key0, key1, jitter);
    c.result(product(at::mul(x.to(at::kFloat), factors), weight.t()));
    return c.result(factors);
  }
  const int64_t rows = x.size(0), width = x.size(1);
  const PhiloxDraws draws(key0, key1, static_cast<uint32_t>(step.item<int32_t>()));
  at::Tensor factors = at::empty({rows, width}, options), y = at::empty({rows, weight.size(0)}, options);
  // The library's product of some rows may round otherwise than its product of all.
  const bool byRange = isOwnGemm(factors, weight.t());
  const at::Tensor all = byRange ? at::Tensor() : at::empty({rows, width}, options);
  forRows(rows, width, [&](int64_t first, int64_t count) {
    float* const of = factors.mutable_data_ptr<float>() + first * width;
    jitterFactors(draws, jitter, first * width, count * width, of);
    const at::Tensor jittered = byRange ? at::empty({count, width}, options) : all.narrow(0, first, count);
    withType(x, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      timesFactors(x.const_data_ptr<T>() + first * width, of, jittered.mutable_data_ptr<float>(), count * width);
    });
    if (byRange) productOut(y.narrow(0, first, count), jittered, weight.t());
  });
  c.result(byRange ? y : product(all, weight.t()));
  c.result(factors);
}

// dy [N, O], x, weight, factors -> dx in x's dtype, dWeight in float32.
void jitteredLinearGrad(Call& c) {
  const at::Tensor dy = c.x(0).to(at::kFloat).contiguous(), x = c.x(1).contiguous(), weight = c.x(2).to(at::kFloat).contiguous();
  const at::Tensor factors = c.x(3).contiguous();
  if (onCuda(x)) {
    c.result(at::mul(product(dy, weight), factors).to(x.scalar_type()));
    return c.result(product(dy.t(), at::mul(x.to(at::kFloat), factors)));
  }
  const int64_t rows = x.size(0), width = x.size(1);
  const bool byRange = isOwnGemm(dy, weight);
  const at::Tensor all = byRange ? at::Tensor() : product(dy, weight);
  at::Tensor dx = at::empty(x.sizes(), x.options()), jittered = at::empty({rows, width}, factors.options());
  forRows(rows, width, [&](int64_t first, int64_t count) {
    const at::Tensor d = byRange ? at::empty({count, width}, factors.options()) : all.narrow(0, first, count);
    if (byRange) productOut(d, dy.narrow(0, first, count), weight);
    const int64_t at = first * width;
    const float* const of = factors.const_data_ptr<float>() + at;
    withType(x, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      timesFactors(d.const_data_ptr<float>(), of, dx.mutable_data_ptr<T>() + at, count * width);
      timesFactors(x.const_data_ptr<T>() + at, of, jittered.mutable_data_ptr<float>() + at, count * width);
    });
  });
  c.result(dx);
  c.result(product(dy.t(), jittered));
}

const Operations ops = {
    {"TorchJitteredLinear(x: float[N, D], weight: float[O, D], step: int32[1]; a: number, b: number, key: ints[2] in [0, 4294967295]) -> "
     "y: float32[N, O], factors: float32[N, D] where D >= 1, O >= 1",
     jitteredLinear},
    {"TorchJitteredLinearGrad(dy: float[N, O], x: float[N, D], weight: float[O, D], factors: float32[N, D]) -> dx: x.dtype[N, D], "
     "dWeight: float32[O, D] where D >= 1, O >= 1",
     jitteredLinearGrad},
};

}  // namespace

}  // namespace tfjs_torch
