// Tokens to the slots of experts and back, by index.
#include <ATen/Parallel.h>

#include "cpu/simd.h"
#include "moe/moe.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr int64_t kRowsOfATask = 64;

#ifdef TFJS_TORCH_BF16_VECTORS
TFJS_TORCH_INTRINSICS_BEGIN
TFJS_TORCH_TARGET_BF16 void scaleRowByVectors(const c10::BFloat16* x, float factor, c10::BFloat16* to, int64_t n) {
  const __m512 times = _mm512_set1_ps(factor);
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = vectors::firstOf32(n - i);
    const vectors::Floats32 value = vectors::load(x + i, which);
    vectors::store(to + i, which, {_mm512_mul_ps(value.low, times), _mm512_mul_ps(value.high, times)});
  }
}
TFJS_TORCH_TARGET_BF16 float scaleRowAlongByVectors(const c10::BFloat16* x, const c10::BFloat16* y, float factor, c10::BFloat16* to,
                                                    int64_t n) {
  const __m512 times = _mm512_set1_ps(factor);
  __m512 along[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 which = vectors::firstOf32(n - i);
    const vectors::Floats32 value = vectors::load(x + i, which), other = vectors::load(y + i, which);
    along[0] = _mm512_fmadd_ps(value.low, other.low, along[0]);
    along[1] = _mm512_fmadd_ps(value.high, other.high, along[1]);
    vectors::store(to + i, which, {_mm512_mul_ps(value.low, times), _mm512_mul_ps(value.high, times)});
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(along[0], along[1]));
}
TFJS_TORCH_INTRINSICS_END
#endif

// to ← factor·x
template <typename T>
[[gnu::always_inline]] inline void scaleRow(const T* x, float factor, T* to, int64_t n) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return scaleRowByVectors(x, factor, to, n);
  }
#endif
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) fromFloat(factor * toFloat(x[i]), to[i]);
}

// The same; returns Σ x·y.
template <typename T>
[[gnu::always_inline]] inline float scaleRowAlong(const T* x, const T* y, float factor, T* to, int64_t n) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return scaleRowAlongByVectors(x, y, factor, to, n);
  }
#endif
  float along = 0;
#pragma omp simd reduction(+ : along)
  for (int64_t i = 0; i < n; ++i) {
    const float value = toFloat(x[i]);
    along += value * toFloat(y[i]);
    fromFloat(factor * value, to[i]);
  }
  return along;
}

// Token of each slot, -1 where there is none.
std::vector<int32_t> tokensOfSlots(const at::Tensor& slot, int64_t slots) {
  std::vector<int32_t> token(slots, -1);
  const int32_t* const at = slot.const_data_ptr<int32_t>();
  for (int64_t n = 0; n < slot.numel(); ++n) {
    if (at[n] < slots) token[at[n]] = static_cast<int32_t>(n);
  }
  return token;
}

#ifdef TFJS_TORCH_CUDA
bool isBfloat16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

at::Tensor dispatchByKernel(const at::Tensor& x, const at::Tensor& slot, int64_t slots) {
  const at::Tensor rows = x.contiguous(), index = slot.contiguous();
  at::Tensor filled = at::empty({slots, x.size(1)}, x.options());
  cuda::dispatchRows(rows.const_data_ptr(), index.const_data_ptr<int32_t>(), isBfloat16(x), x.size(0), slots, x.size(1),
                     filled.mutable_data_ptr(), currentStream(x));
  return filled;
}

at::Tensor combineByKernel(const at::Tensor& y, const at::Tensor& slot, const at::Tensor& gate) {
  const int64_t slots = y.size(0), width = y.size(1), tokens = slot.size(0);
  const at::Tensor rows = y.contiguous(), places = slot.contiguous();
  const at::Tensor gates = gate.defined() ? gate.to(at::kFloat).contiguous() : at::Tensor();
  at::Tensor combined = at::empty({tokens, width}, y.options());
  cuda::combineRows(rows.const_data_ptr(), places.const_data_ptr<int32_t>(), gates.defined() ? gates.const_data_ptr<float>() : nullptr,
                    isBfloat16(y), tokens, slots, width, combined.mutable_data_ptr(), currentStream(y));
  return combined;
}

std::pair<at::Tensor, at::Tensor> combineGradientByKernel(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& slot,
                                                          const at::Tensor& gate) {
  const int64_t slots = y.size(0), width = y.size(1), tokens = slot.size(0);
  const at::Tensor rows = y.contiguous(), places = slot.contiguous(), gates = gate.to(at::kFloat).contiguous();
  at::Tensor dY = at::empty({slots, width}, y.options()), dGates = at::empty({tokens}, gates.options());
  cuda::combineRowsGradient(dy.const_data_ptr(), rows.const_data_ptr(), places.const_data_ptr<int32_t>(), gates.const_data_ptr<float>(),
                            isBfloat16(y), tokens, slots, width, dY.mutable_data_ptr(), dGates.mutable_data_ptr<float>(), currentStream(y));
  return {dY, dGates};
}
#endif

// By ATen's operations, on any device.
at::Tensor dispatchByAten(const at::Tensor& x, const at::Tensor& slot, int64_t slots) {
  // What has no slot goes to a spare row.
  return at::zeros({slots + 1, x.size(1)}, x.options()).index_copy_(0, slot.to(at::kLong), x).narrow(0, 0, slots);
}

at::Tensor combineByAten(const at::Tensor& y, const at::Tensor& slot, const at::Tensor& gate) {
  const int64_t slots = y.size(0);
  if (slots == 0) return at::zeros({slot.size(0), y.size(1)}, y.options());
  const at::Tensor index = slot.to(at::kLong);
  at::Tensor factor = at::lt(index, slots).to(at::kFloat);
  if (gate.defined()) factor = factor * gate;
  return at::mul(y.index_select(0, at::clamp_max(index, slots - 1)), factor.unsqueeze(1)).to(y.scalar_type());
}

std::pair<at::Tensor, at::Tensor> combineGradientByAten(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& slot,
                                                        const at::Tensor& gate) {
  const int64_t slots = y.size(0);
  if (slots == 0) return {at::zeros_like(y), at::zeros(slot.sizes(), y.options().dtype(at::kFloat))};
  const at::Tensor index = slot.to(at::kLong);
  const at::Tensor rows = y.index_select(0, at::clamp_max(index, slots - 1)).to(at::kFloat);
  const at::Tensor dGate = at::mul(at::sum(at::mul(rows, dy), 1), at::lt(index, slots));
  return {dispatchByAten(at::mul(dy, gate.unsqueeze(1)).to(y.scalar_type()), slot, slots), dGate};
}

}  // namespace

at::Tensor dispatch(const at::Tensor& x, const at::Tensor& slot, int64_t slots) {
  const int64_t width = x.size(1);
#ifdef TFJS_TORCH_CUDA
  if (onCuda(x) && hasCudaKernels()) return dispatchByKernel(x, slot, slots);
#endif
  if (onCuda(x)) return dispatchByAten(x, slot, slots);
  const at::Tensor from = x.contiguous();
  at::Tensor to = at::empty({slots, width}, x.options());
  if (to.numel() == 0) return to;
  const std::vector<int32_t> token = tokensOfSlots(slot.contiguous(), slots);
  const size_t bytes = width * x.element_size();
  const auto* source = static_cast<const char*>(from.const_data_ptr());
  auto* target = static_cast<char*>(to.mutable_data_ptr());
  at::parallel_for(0, slots, kRowsOfATask, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      if (token[s] < 0)
        std::memset(target + s * bytes, 0, bytes);
      else
        std::memcpy(target + s * bytes, source + token[s] * bytes, bytes);
    }
  });
  return to;
}

at::Tensor combine(const at::Tensor& y, const at::Tensor& slot, const at::Tensor& gate) {
  const int64_t slots = y.size(0), width = y.size(1), tokens = slot.size(0);
#ifdef TFJS_TORCH_CUDA
  if (onCuda(y) && hasCudaKernels()) return combineByKernel(y, slot, gate);
#endif
  if (onCuda(y)) return combineByAten(y, slot, gate);
  const at::Tensor from = y.contiguous(), index = slot.contiguous();
  const at::Tensor factor = gate.defined() ? gate.to(at::kFloat).contiguous() : at::Tensor();
  at::Tensor to = at::empty({tokens, width}, y.options());
  if (to.numel() == 0) return to;
  withType(y, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* const source = from.const_data_ptr<T>();
    T* const target = to.mutable_data_ptr<T>();
    const int32_t* const at = index.const_data_ptr<int32_t>();
    const float* const factors = factor.defined() ? factor.const_data_ptr<float>() : nullptr;
    parallelSimd(tokens, kRowsOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
      for (int64_t n = begin; n < end; ++n) {
        T* const out = target + n * width;
        if (at[n] < 0 || at[n] >= slots) {
          std::memset(static_cast<void*>(out), 0, width * sizeof(T));
          continue;
        }
        const T* const in = source + at[n] * width;
        if (factors == nullptr)
          std::memcpy(static_cast<void*>(out), in, width * sizeof(T));
        else
          scaleRow(in, factors[n], out, width);
      }
    });
  });
  return to;
}

std::pair<at::Tensor, at::Tensor> combineGradient(const at::Tensor& d, const at::Tensor& y, const at::Tensor& slot,
                                                  const at::Tensor& gate) {
  const int64_t slots = y.size(0), width = y.size(1);
  const at::Tensor dy = d.to(y.scalar_type()).contiguous();
#ifdef TFJS_TORCH_CUDA
  if (onCuda(y) && hasCudaKernels()) return combineGradientByKernel(dy, y, slot, gate);
#endif
  if (onCuda(y)) return combineGradientByAten(dy, y, slot, gate);
  const at::Tensor from = y.contiguous(), factor = gate.to(at::kFloat).contiguous();
  at::Tensor dRows = at::empty({slots, width}, y.options());
  at::Tensor dGate = at::zeros(slot.sizes(), y.options().dtype(at::kFloat));
  if (dRows.numel() == 0) return {dRows, dGate};
  const std::vector<int32_t> token = tokensOfSlots(slot.contiguous(), slots);
  withType(y, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* const rows = from.const_data_ptr<T>();
    const T* const dOut = dy.const_data_ptr<T>();
    T* const target = dRows.mutable_data_ptr<T>();
    const float* const factors = factor.const_data_ptr<float>();
    float* const dFactors = dGate.mutable_data_ptr<float>();
    const int32_t* const tokens = token.data();
    parallelSimd(slots, kRowsOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
      for (int64_t s = begin; s < end; ++s) {
        T* const out = target + s * width;
        const int64_t n = tokens[s];
        if (n < 0) {
          std::memset(static_cast<void*>(out), 0, width * sizeof(T));
          continue;
        }
        dFactors[n] = scaleRowAlong(dOut + n * width, rows + s * width, factors[n], out, width);
      }
    });
  });
  return {dRows, dGate};
}

namespace {

void dispatchOp(Call& c) { c.result(dispatch(c.x(0), c.x(1), c.integer())); }

// Inputs y, slot, [gate].
void combineOp(Call& c) { c.result(combine(c.x(0), c.x(1), c.x(2))); }

// Inputs dy, y, slot, gate.
void combineGradientOp(Call& c) {
  const auto [dRows, dGate] = combineGradient(c.x(0), c.x(1), c.x(2), c.x(3));
  c.result(dRows);
  c.result(dGate);
}

const Operations ops = {
    {"TorchDispatch(x: float[N, D], slot: int32[N] in [0, slots]; slots: int >= 0) -> y: x.dtype[slots, D]", dispatchOp},
    {"TorchCombine(y: float[S, D], slot: int32[N] in [0, S], gate?: float[N]) -> x: y.dtype[N, D]", combineOp},
    {"TorchCombineGrad(dy: float[N, D], y: float[S, D], slot: int32[N] in [0, S], gate: float[N]) -> dY: y.dtype[S, D], dGate: float32[N]",
     combineGradientOp},
};

}  // namespace

}  // namespace tfjs_torch
