// Attention's heads on CUDA: kernels of our own for bfloat16 and heads of 64, else ATen's operations over a matrix of scores.
#include "cuda/layers.h"
#include "runtime/device.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/aligned.h"
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr float kMasked = -1e9f;  // t5/attention.cc

at::Tensor byHead(const at::Tensor& position_LH) { return position_LH.to(at::kFloat).t().contiguous(); }

#ifdef TFJS_TORCH_CUDA
bool hasKernel(const HeadsOnCuda& x) {
  return !x.factors.defined() && hasCudaKernels() && x.q.scalar_type() == at::kBFloat16 && x.kv.scalar_type() == at::kBFloat16 &&
         x.shape.K == cuda::attentionHeadWidth();
}

// Keeps what the kernels read alive.
struct Operands {
  at::Tensor q, kv, position, real;
  cuda::AttentionWork work;
  explicit Operands(const HeadsOnCuda& x) : q(aligned(x.q)), kv(aligned(x.kv)) {
    if (x.position.defined()) position = byHead(x.position);
    if (x.real.defined()) real = x.real.to(at::kFloat).contiguous();
    const auto* const keys = static_cast<const char*>(kv.const_data_ptr()) + x.key * kv.element_size();
    const AttentionShape& s = x.shape;
    work = {{q.const_data_ptr(), s.T, q.size(-1)},
            {keys, s.S, kv.size(-1)},
            {keys + s.inner() * kv.element_size(), s.S, kv.size(-1)},
            s.H,
            s.causal,
            position.defined() ? position.const_data_ptr<float>() : nullptr,
            real.defined() ? real.const_data_ptr<float>() : nullptr};
  }
};

std::pair<at::Tensor, at::Tensor> attendByKernel(const HeadsOnCuda& x) {
  const AttentionShape& s = x.shape;
  const Operands in(x);
  at::Tensor context = at::empty({s.B, s.T, s.inner()}, x.q.options());
  at::Tensor stats = at::empty({2, s.B, s.H, s.T}, x.q.options().dtype(at::kFloat));
  float* const largest = stats.mutable_data_ptr<float>();
  cuda::attentionForward(in.work, s.B, context.mutable_data_ptr(), largest, largest + s.B * s.H * s.T, currentStream(x.q));
  return {context, stats};
}

HeadGradients gradientByKernel(const HeadsOnCuda& x, const at::Tensor& context, const at::Tensor& dContext, const at::Tensor& stats) {
  const AttentionShape& s = x.shape;
  const Operands in(x);
  const at::Tensor c = aligned(context), d = aligned(dContext), statistics = stats.contiguous();
  HeadGradients result;
  result.dq = at::empty(x.q.sizes(), x.q.options());
  result.dkv = x.key > 0 ? result.dq : at::empty(x.kv.sizes(), x.kv.options());
  at::Tensor along = at::empty({s.B, s.H, s.T}, statistics.options()), distances;
  if (x.position.defined()) {
    distances = at::zeros({cuda::attentionDistanceParts(s.B, s.T), s.H, s.distances()}, statistics.options());
  }
  const float* const largest = statistics.const_data_ptr<float>();
  auto* const dKeys = static_cast<char*>(result.dkv.mutable_data_ptr()) + x.key * result.dkv.element_size();
  cuda::attentionGradient(in.work, s.B,
                          {{c.const_data_ptr(), s.T, s.inner()},
                           {d.const_data_ptr(), s.T, s.inner()},
                           largest,
                           largest + s.B * s.H * s.T,
                           along.mutable_data_ptr<float>(),
                           result.dq.mutable_data_ptr(),
                           dKeys,
                           dKeys + s.inner() * result.dkv.element_size(),
                           x.q.size(-1),
                           x.kv.size(-1),
                           distances.defined() ? distances.mutable_data_ptr<float>() : nullptr},
                          currentStream(x.q));
  if (distances.defined()) result.dPosition = at::sum(distances, {0});
  return result;
}
#endif

at::Tensor splitHeads(const at::Tensor& x, int64_t column, const AttentionShape& s) {
  return x.narrow(2, column, s.inner()).reshape({x.size(0), x.size(1), s.H, s.K}).transpose(1, 2);
}
at::Tensor joinHeads(const at::Tensor& x) { return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1}); }

// Scores in float32 [B, H, T, S], bias included.
at::Tensor scoresOf(const HeadsOnCuda& x) {
  const AttentionShape& s = x.shape;
  const at::Tensor q = splitHeads(x.q, 0, s).to(at::kFloat), k = splitHeads(x.kv, x.key, s).to(at::kFloat);
  at::Tensor scores = at::matmul(q, k.transpose(-2, -1));
  if (x.position.defined()) {
    const auto whole = scores.options().dtype(at::kLong);
    const at::Tensor index = at::arange(s.S, whole).unsqueeze(0) - at::arange(s.T, whole).unsqueeze(1) + (s.T - 1);
    scores += byHead(x.position).index_select(1, index.reshape({-1})).reshape({1, s.H, s.T, s.S});
  }
  if (x.real.defined()) scores += ((1 - x.real.to(at::kFloat)) * kMasked).reshape({s.B, 1, 1, s.S});
  if (s.causal) scores += at::full({s.T, s.S}, kMasked, scores.options()).triu(1);
  return scores;
}

// Sums over queries and keys of the same distance, [H, T, S] -> [H, T+S−1], in a fixed order: row t moves by T − 1 − t, so that a
// distance becomes a column.
at::Tensor sumByDistance(const at::Tensor& x, const AttentionShape& s) {
  at::Tensor inFloat = at::zeros({s.H, s.T, s.S + s.T}, x.options());
  inFloat.narrow(2, 0, s.S).copy_(x.flip({1}));
  return inFloat.reshape({s.H, -1}).narrow(1, 0, s.T * s.distances()).reshape({s.H, s.T, s.distances()}).sum(1);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> attendOnCuda(const HeadsOnCuda& x) {
#ifdef TFJS_TORCH_CUDA
  if (hasKernel(x)) return attendByKernel(x);
#endif
  const AttentionShape& s = x.shape;
  const at::Tensor scores = scoresOf(x), v = splitHeads(x.kv, x.key + s.inner(), s);
  const at::Tensor largest = at::amax(scores, {-1}, true);
  const at::Tensor weights = at::exp(scores - largest);
  const at::Tensor inverse = at::reciprocal(at::sum(weights, {-1}, true));
  at::Tensor probs = weights * inverse;
  if (x.factors.defined()) probs = probs * x.factors;
  return {joinHeads(at::matmul(probs.to(v.scalar_type()), v)), at::stack({largest.squeeze(-1), inverse.squeeze(-1)})};
}

HeadGradients attendGradientOnCuda(const HeadsOnCuda& x, const at::Tensor& context, const at::Tensor& dContext, const at::Tensor& stats) {
#ifdef TFJS_TORCH_CUDA
  if (hasKernel(x)) return gradientByKernel(x, context, dContext, stats);
#endif
  const AttentionShape& s = x.shape;
  const auto type = x.q.scalar_type();
  const at::Tensor q = splitHeads(x.q, 0, s), k = splitHeads(x.kv, x.key, s), v = splitHeads(x.kv, x.key + s.inner(), s);
  at::Tensor probs = at::exp(scoresOf(x) - stats[0].unsqueeze(-1)) * stats[1].unsqueeze(-1);
  const at::Tensor dOut = splitHeads(dContext, 0, s), inFloat = dOut.to(at::kFloat);
  const at::Tensor along = at::sum(splitHeads(context, 0, s).to(at::kFloat) * inFloat, {-1}, true);
  at::Tensor dProbs = at::matmul(inFloat, v.to(at::kFloat).transpose(-2, -1));
  if (x.factors.defined()) dProbs = dProbs * x.factors;
  const at::Tensor dScores = probs * (dProbs - along);
  if (x.factors.defined()) probs = probs * x.factors;
  const at::Tensor rounded = dScores.to(type);
  const at::Tensor dq = joinHeads(at::matmul(rounded, k)), dk = joinHeads(at::matmul(rounded.transpose(-2, -1), q));
  const at::Tensor dv = joinHeads(at::matmul(probs.to(type).transpose(-2, -1), dOut));
  HeadGradients result;
  result.dq = x.key > 0 ? at::cat({dq, dk, dv}, 2) : dq;
  result.dkv = x.key > 0 ? result.dq : at::cat({dk, dv}, 2);
  if (x.position.defined()) result.dPosition = sumByDistance(at::sum(dScores, {0}), s);
  return result;
}

}  // namespace tfjs_torch
