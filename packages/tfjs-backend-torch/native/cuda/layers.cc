#include "cuda/layers.h"

#include <ATen/Version.h>
#include <torch/csrc/api/include/torch/version.h>

#include "runtime/device.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/aligned.h"
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr float kSlope = 1.5957691216f, kCubic = 0.044715f;  // t5/activation.h

#ifdef TFJS_TORCH_CUDA
bool isBfloat16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }
#endif

}  // namespace

std::pair<at::Tensor, at::Tensor> rmsNormOnCuda(const at::Tensor& x, const at::Tensor& weight, float epsilon, at::ScalarType type) {
  const int64_t d = x.size(-1), rows = x.numel() / d;
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels() && cuda::hasNormKernel(d)) {
    const at::Tensor in = aligned(x), w = aligned(weight);
    at::Tensor y = at::empty(x.sizes(), x.options().dtype(type)), inverse = at::empty({rows}, x.options().dtype(at::kFloat));
    cuda::rmsNorm(in.const_data_ptr(), isBfloat16(in), w.const_data_ptr<float>(), epsilon, rows, d, y.mutable_data_ptr(), isBfloat16(y),
                  inverse.mutable_data_ptr<float>(), currentStream(x));
    return {y, inverse};
  }
#endif
  const at::Tensor inFloat = x.to(at::kFloat);
  const at::Tensor inverse = at::rsqrt(at::mean(inFloat * inFloat, {-1}, true) + epsilon);
  return {(inFloat * inverse * weight).to(type), inverse.reshape({rows})};
}

std::pair<at::Tensor, at::Tensor> rmsNormGradientOnCuda(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                                        const at::Tensor& inverse, const at::Tensor& known) {
  const int64_t d = x.size(-1), rows = x.numel() / d;
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels() && cuda::hasNormKernel(d) && rows > 0) {
    const at::Tensor dOut = aligned(dy), in = aligned(x), w = aligned(weight), scale = inverse.contiguous();
    const at::Tensor more = known.defined() ? aligned(known.to(x.scalar_type())) : known;
    at::Tensor dx = at::empty(x.sizes(), x.options()), partial = at::empty({cuda::normGradientBlocks(rows), d}, w.options());
    cuda::rmsNormGradient(dOut.const_data_ptr(), isBfloat16(dOut), in.const_data_ptr(), isBfloat16(in), w.const_data_ptr<float>(),
                          scale.const_data_ptr<float>(), more.defined() ? more.const_data_ptr() : nullptr, rows, d, dx.mutable_data_ptr(),
                          partial.mutable_data_ptr<float>(), currentStream(x));
    return {dx, at::sum(partial, {0})};
  }
#endif
  const at::Tensor scale = inverse.reshape({rows, 1});
  const at::Tensor normal = x.to(at::kFloat).reshape({rows, d}) * scale;
  const at::Tensor inFloat = dy.to(at::kFloat).reshape({rows, d});
  const at::Tensor dyNormal = inFloat * normal;
  const at::Tensor along = at::mean(dyNormal * weight, {-1}, true);
  at::Tensor dx = (scale * (inFloat * weight - normal * along)).reshape(x.sizes());
  if (known.defined()) dx = dx.add_(known);
  return {dx.to(x.scalar_type()), at::sum(dyNormal, {0})};
}

at::Tensor gatedGeluOnCuda(const at::Tensor& h) {
  const int64_t f = h.size(1) / 2;
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels() && cuda::hasGatedGeluKernel(f)) {
    const int64_t rows = h.size(0);
    const at::Tensor in = aligned(h);
    at::Tensor hidden = at::empty({rows, f}, h.options());
    cuda::gatedGelu(in.const_data_ptr(), isBfloat16(in), rows, f, hidden.mutable_data_ptr(), currentStream(h));
    return hidden;
  }
#endif
  const at::Tensor g = h.narrow(1, 0, f).to(at::kFloat);
  return (g * at::sigmoid(g * (kSlope + kSlope * kCubic * g * g)) * h.narrow(1, f, f)).to(h.scalar_type());
}

std::pair<at::Tensor, at::Tensor> gatedGeluGradientOnCuda(const at::Tensor& dHidden, const at::Tensor& h) {
  const int64_t f = h.size(1) / 2;
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels() && cuda::hasGatedGeluKernel(f)) {
    const int64_t rows = h.size(0);
    const at::Tensor in = aligned(h), d = aligned(dHidden);
    at::Tensor dh = at::empty(h.sizes(), h.options()), hidden = at::empty({rows, f}, h.options());
    cuda::gatedGeluGradient(d.const_data_ptr(), in.const_data_ptr(), isBfloat16(in), rows, f, dh.mutable_data_ptr(),
                            hidden.mutable_data_ptr(), currentStream(h));
    return {dh, hidden};
  }
#endif
  const at::Tensor g = h.narrow(1, 0, f).to(at::kFloat), v = h.narrow(1, f, f).to(at::kFloat), d = dHidden.to(at::kFloat);
  const at::Tensor s = at::sigmoid(g * (kSlope + kSlope * kCubic * g * g)), gelu = g * s;
  const at::Tensor dGate = d * v * (s + gelu * (1 - s) * (kSlope + 3 * kSlope * kCubic * g * g));
  return {at::cat({dGate, d * gelu}, 1).to(h.scalar_type()), (gelu * v).to(h.scalar_type())};
}

at::Tensor logProbsOnCuda(at::Tensor& logits, const at::Tensor& target, const at::Tensor& share) {
  const int64_t vocab = logits.size(1);
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels()) {
    const int64_t tokens = logits.size(0);
    const at::Tensor goals = target.to(at::kInt).contiguous(), shares = share.defined() ? share.contiguous() : share;
    at::Tensor result = at::empty({tokens}, logits.options().dtype(at::kFloat));
    cuda::crossEntropyRows(logits.mutable_data_ptr(), isBfloat16(logits), goals.const_data_ptr<int32_t>(),
                           shares.defined() ? shares.const_data_ptr<float>() : nullptr, tokens, vocab, result.mutable_data_ptr<float>(),
                           currentStream(logits));
    return result;
  }
#endif
  // An index out of range would end all work on the device: such a target takes another's place and gives no number.
  const at::Tensor isKnown = at::logical_and(at::ge(target, 0), at::lt(target, vocab));
  const at::Tensor index = at::clamp(target, 0, vocab - 1).to(at::kLong).unsqueeze(1);
  const at::Tensor logP = at::log_softmax(logits.to(at::kFloat), 1);
  const at::Tensor chosen = logP.gather(1, index).squeeze(1).masked_fill(at::logical_not(isKnown), NAN);
  if (share.defined()) {
    at::Tensor p = logP.exp();
    p.scatter_(1, index, at::expm1(chosen).unsqueeze(1));
    logits.copy_(p.mul_(share.unsqueeze(1)));
  }
  return chosen;
}

void sumProductOnCuda(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, bool add) {
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
  // Libraries for the device add up in float32 and would round each chunk's sum to the operands' dtype.
  if (a.is_cuda() && a.scalar_type() != at::kFloat) {
    if (add)
      at::addmm_out(sum, sum, a, b, at::kFloat);
    else
      at::mm_out(sum, a, b, at::kFloat);
    return;
  }
#endif
  const at::Tensor x = a.to(at::kFloat), y = b.to(at::kFloat);
  if (add)
    at::addmm_out(sum, sum, x, y);
  else
    at::mm_out(sum, x, y);
}

}  // namespace tfjs_torch
