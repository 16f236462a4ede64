// T5's RMSNorm, forward and backward in one pass each.
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "cuda/layers.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

template <typename X, typename Y>
void normRows(const X* x, const float* weight, Y* y, float* inverse, int64_t rows, int64_t d, float epsilon) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<X, float> && std::is_same_v<Y, c10::BFloat16>) {
    if (vectors::available() && d % 32 == 0) {
      return at::parallel_for(0, rows, grainFor(d), [=](int64_t begin, int64_t end) {
        vectors::normRows(x + begin * d, weight, y + begin * d, inverse + begin, end - begin, d, epsilon);
      });
    }
  }
#endif
  parallelSimd(rows, grainFor(d), [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t n = begin; n < end; ++n) {
      const X* const xn = x + n * d;
      Y* const yn = y + n * d;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < d; ++i) sum += toFloat(xn[i]) * toFloat(xn[i]);
      const float scale = 1.0f / std::sqrt(sum / static_cast<float>(d) + epsilon);
      inverse[n] = scale;
#pragma omp simd
      for (int64_t i = 0; i < d; ++i) fromFloat(toFloat(xn[i]) * scale * weight[i], yn[i]);
    }
  });
}

// dx = inverse (dy w - x̂ mean(dy w x̂)), and what is there already where `known` is given; dw = sum over rows of dy x̂, one partial sum a
// thread.
template <typename X, typename Y>
void normGradRows(const Y* dy, const X* x, const float* weight, const float* inverse, const X* known, X* dx, float* partial, int64_t rows,
                  int64_t d) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<X, float> && std::is_same_v<Y, c10::BFloat16>) {
    if (vectors::available() && d % 32 == 0 && vectors::isAligned(dx)) {
      return at::parallel_for(0, rows, grainFor(d), [=](int64_t begin, int64_t end) {
        const int64_t at = begin * d;
        vectors::normGradRows(dy + at, x + at, weight, inverse + begin, known == nullptr ? nullptr : known + at, dx + at,
                              partial + at::get_thread_num() * d, end - begin, d);
      });
    }
  }
#endif
  parallelSimd(rows, grainFor(d), [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    float* const dw = partial + at::get_thread_num() * d;
    for (int64_t n = begin; n < end; ++n) {
      const X* const xn = x + n * d;
      const Y* const dyn = dy + n * d;
      X* const dxn = dx + n * d;
      const float scale = inverse[n];
      float along = 0;
#pragma omp simd reduction(+ : along)
      for (int64_t i = 0; i < d; ++i) {
        const float g = toFloat(dyn[i]) * toFloat(xn[i]) * scale;
        dw[i] += g;
        along += g * weight[i];
      }
      along *= scale / static_cast<float>(d);
      const X* const more = known == nullptr ? xn : known + n * d;
      const float keep = known == nullptr ? 0 : 1;
#pragma omp simd
      for (int64_t i = 0; i < d; ++i) {
        fromFloat(keep * toFloat(more[i]) + scale * (toFloat(dyn[i]) * weight[i] - toFloat(xn[i]) * along), dxn[i]);
      }
    }
  });
}

// x [..., d], weight [d]; epsilon, bfloat16 result -> y, inverse root mean square [rows].
void rmsNorm(Call& c) {
  const at::Tensor x = c.x(0).contiguous();
  const at::Tensor weight = c.x(1).to(at::kFloat).contiguous();
  const auto epsilon = static_cast<float>(c.number());
  const at::ScalarType type = c.flag() ? at::kBFloat16 : at::kFloat;
  const int64_t d = x.size(-1);
  const int64_t rows = x.numel() / d;
  if (onCuda(x)) {
    const auto [y, inverse] = rmsNormOnCuda(x, weight, epsilon, type);
    c.result(y);
    return c.result(inverse);
  }
  at::Tensor y = at::empty(x.sizes(), c.options(type));
  at::Tensor inverse = at::empty({rows}, c.options(at::kFloat));
  withType(x, [&](auto* in) {
    withType(y, [&](auto* out) {
      using X = std::remove_pointer_t<decltype(in)>;
      using Y = std::remove_pointer_t<decltype(out)>;
      normRows(x.const_data_ptr<X>(), weight.const_data_ptr<float>(), y.mutable_data_ptr<Y>(), inverse.mutable_data_ptr<float>(), rows, d,
               epsilon);
    });
  });
  c.result(y);
  c.result(inverse);
}

// dy, x [..., d], weight [d], inverse [rows], [a gradient of x that is added to] -> dx in x's width, dweight in float32.
void rmsNormGrad(Call& c) {
  const at::Tensor dy = c.x(0).contiguous();
  const at::Tensor x = c.x(1).contiguous();
  const at::Tensor weight = c.x(2).to(at::kFloat).contiguous();
  const at::Tensor inverse = c.x(3).contiguous();
  const int64_t d = x.size(-1);
  const int64_t rows = x.numel() / d;
  if (onCuda(x)) {
    const auto [dx, dWeight] = rmsNormGradientOnCuda(dy, x, weight, inverse, c.has(4) ? c.x(4) : at::Tensor());
    c.result(dx);
    return c.result(dWeight);
  }
  const at::Tensor known = c.has(4) ? c.x(4).to(x.scalar_type()).contiguous() : at::Tensor();
  at::Tensor dx = at::empty_like(x);
  at::Tensor partial = at::zeros({at::get_num_threads(), d}, c.options(at::kFloat));
  withType(x, [&](auto* in) {
    withType(dy, [&](auto* out) {
      using X = std::remove_pointer_t<decltype(in)>;
      using Y = std::remove_pointer_t<decltype(out)>;
      normGradRows(dy.const_data_ptr<Y>(), x.const_data_ptr<X>(), weight.const_data_ptr<float>(), inverse.const_data_ptr<float>(),
                   known.defined() ? known.const_data_ptr<X>() : nullptr, dx.mutable_data_ptr<X>(), partial.mutable_data_ptr<float>(), rows,
                   d);
    });
  });
  c.result(dx);
  c.result(at::sum(partial, {0}));
}

const Operations ops = {
    {"TorchRmsNorm(x: float[...N, D], weight: float[D]; epsilon: number, precision: {float32, bfloat16}) -> y: float[...N, D], inverse: "
     "float32[#N] where D >= 1",
     rmsNorm},
    {"TorchRmsNormGrad(dy: float[...N, D], x: float[...N, D], weight: float[D], inverse: float32[#N], dx?: float[...N, D]) -> dx: "
     "x.dtype[...N, D], dWeight: float32[D] where D >= 1",
     rmsNormGrad},
};

}  // namespace

}  // namespace tfjs_torch
