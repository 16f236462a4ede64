// T5's feed-forward layer, ReLU or gated GELU, and the linear layer.
#include <tuple>

#include "cpu/gemm/matmul.h"
#include "cpu/gemm/small_gemm.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "cuda/layers.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/activation.h"
#include "t5/dropout.h"

namespace tfjs_torch {
namespace {

// h [rows, f] or, with gate and value side by side, [rows, 2f].
template <typename T>
void activateRows(const T* h, T* hidden, int64_t rows, int64_t f, bool gated, const DropoutRows& entries) {
  parallelSimd(rows, grainFor(f), [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t n = begin; n < end; ++n) {
      const T* const gate = h + n * (gated ? 2 * f : f);
      entries.forPieces(n * f, f, [=](int64_t i, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
        activate(gate + i, gated ? gate + f + i : nullptr, hidden + n * f + i, last - i, kept);
      });
    }
  });
}

// dh, as h, of dHidden [rows, f]; the hidden activation once more, which the output weight's gradient needs.
template <typename T>
void activateRowsGrad(const T* dHidden, const T* h, T* dh, T* hidden, int64_t rows, int64_t f, bool gated, const DropoutRows& entries) {
  parallelSimd(rows, grainFor(f), [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t at = n * (gated ? 2 * f : f);
      const T* const gate = h + at;
      T* const dGate = dh + at;
      entries.forPieces(n * f, f, [=](int64_t i, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
        activateGradient(gate + i, gated ? gate + f + i : nullptr, dHidden + n * f + i, hidden + n * f + i, dGate + i, dGate + f + i,
                         last - i, kept);
      });
    }
  });
}

// x [..., D], wi [F, D] once (ReLU) or twice (gated GELU), wo [D, F]
//   -> y [..., D], h [N, F or 2F] before the activation, the weights in x's width: stacked wi, wo
void feedForward(Call& c) {
  const at::Tensor& x = c.x(0);
  const at::ScalarType type = x.scalar_type();
  const bool gated = c.has(2);
  const at::Tensor wi = gated ? stackWeights({c.x(1), c.x(2)}, type) : stackWeights({c.x(1)}, type);
  const at::Tensor wo = stackWeights({c.x(3)}, type);
  const Dropout dropout = readDropout(c, c.x(4));
  const at::Tensor h = product(x.reshape({-1, x.size(-1)}), wi.t());
  const int64_t f = wo.size(1);
  at::Tensor hidden;
  if (onCuda(h)) {
    hidden = dropped(gated ? gatedGeluOnCuda(h) : at::relu(h), dropout);
  } else {
    hidden = at::empty({h.size(0), f}, h.options());
    const DropoutRows entries(dropout);
    withType(h, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      activateRows(h.const_data_ptr<T>(), hidden.mutable_data_ptr<T>(), h.size(0), f, gated, entries);
    });
  }
  c.result(product(hidden, wo.t()).reshape(x.sizes()));
  c.result(h);
  c.result(wi);
  c.result(wo);
}

// dy, x [..., D], h, wi, wo as the forward gave them -> dx, dwi once or twice, dwo
void feedForwardGrad(Call& c) {
  const at::Tensor &x = c.x(1), &h = c.x(2), &wi = c.x(3), &wo = c.x(4);
  const at::ScalarType type = h.scalar_type();
  const at::Tensor dy = c.x(0).to(type).reshape({-1, x.size(-1)});
  const int64_t f = wo.size(1);
  const bool gated = wi.size(0) != f;
  const Dropout dropout = readDropout(c, c.x(5));
  at::Tensor dHidden = product(dy, wo), hidden, dh;
  if (onCuda(h)) {
    dHidden = dropped(dHidden, dropout);
    if (gated) {
      std::tie(dh, hidden) = gatedGeluGradientOnCuda(dHidden, h);
    } else {
      hidden = at::relu(h);
      dh = at::threshold_backward(dHidden, h, 0);
    }
    hidden = dropped(hidden, dropout);
  } else {
    hidden = at::empty({h.size(0), f}, h.options());
    dh = at::empty_like(h);
    const DropoutRows entries(dropout);
    withType(h, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      activateRowsGrad(dHidden.const_data_ptr<T>(), h.const_data_ptr<T>(), dh.mutable_data_ptr<T>(), hidden.mutable_data_ptr<T>(),
                       h.size(0), f, gated, entries);
    });
  }
  c.result(product(dh, wi).reshape(x.sizes()));
  const at::Tensor dwi = product(dh.t(), x.reshape({-1, x.size(-1)}));
  c.result(dwi.narrow(0, 0, f));
  if (gated) c.result(dwi.narrow(0, f, f));
  c.result(product(dy.t(), hidden));
}

// x [..., D], weight [O, D] -> y [..., O], the weight in x's width
void linear(Call& c) {
  const at::Tensor& x = c.x(0);
  const at::Tensor weight = stackWeights({c.x(1)}, x.scalar_type());
  Dims shape(x.sizes().begin(), x.sizes().end());
  shape.back() = weight.size(0);
  c.result(product(x.reshape({-1, x.size(-1)}), weight.t()).reshape(shape));
  c.result(weight);
}

// dy [..., O], x [..., D], weight [O, D] -> dx, dweight
void linearGrad(Call& c) {
  const at::Tensor &x = c.x(1), &weight = c.x(2);
  const at::Tensor dy = c.x(0).to(weight.scalar_type()).reshape({-1, weight.size(0)});
  c.result(product(dy, weight).reshape(x.sizes()));
  c.result(product(dy.t(), x.reshape({-1, x.size(-1)})));
}

const Operations ops = {
    {"TorchFeedForward(x: float[...N, D], wi0: float[F, D], wi1?: float[F, D], wo: float[D, F], step?: int32[1]; rate: number, "
     "scale: number, key: ints[2] in [0, 4294967295]) -> y: x.dtype[...N, D], h: x.dtype[#N, wi1 "
     "? 2 * F : F], wi: x.dtype[wi1 ? 2 * F : F, D], wo: x.dtype[D, F] where D >= 1, F >= 1",
     feedForward},
    {"TorchFeedForwardGrad(dy: float[...N, D], x: float[...N, D], h: contiguous x.dtype[#N, G * F], wi: x.dtype[G * F, D], wo: x.dtype[D, "
     "F], step?: int32[1]; rate: number, scale: number, key: ints[2] in [0, 4294967295]) -> dx: float[...N, D], dWeights... where D >= 1, "
     "F >= 1, G >= 1, G <= 2",
     feedForwardGrad},
    {"TorchLinear(x: float[...N, D], weight: float[O, D]) -> y: x.dtype[...N, O], weight: x.dtype[O, D] where D >= 1, O >= 1", linear},
    {"TorchLinearGrad(dy: float[...N, O], x: float[...N, D], weight: x.dtype[O, D]) -> dx: float[...N, D], dWeight: float[O, D] where D >= "
     "1, O >= 1",
     linearGrad},
};

}  // namespace

}  // namespace tfjs_torch
