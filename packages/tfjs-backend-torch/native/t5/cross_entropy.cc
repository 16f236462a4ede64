// The output layer with its cross-entropy, in chunks of tokens: logits live for one chunk and are overwritten by their gradient.
#include <ATen/Parallel.h>

#include "cpu/bf16_vectors.h"
#include "cpu/gemm/matmul.h"
#include "cpu/gemm/packed/packed_gemm.h"
#include "cpu/simd.h"
#include "cuda/layers.h"
#include "moe/moe.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

constexpr int64_t kRowsOfATask = 4;

// Σ e^(logit - top), and the logits' change into scale·e^(logit - top).
template <typename T>
[[gnu::always_inline]] inline float sumOfExponentials(const T* logits, int64_t vocab, float top) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return vectors::sumOfExponentials(logits, vocab, top);
  }
#endif
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t v = 0; v < vocab; ++v) sum += fastExp(toFloat(logits[v]) - top);
  return sum;
}
template <typename T>
[[gnu::always_inline]] inline void scaleExponentials(T* logits, int64_t vocab, float top, float scale) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    if (vectors::available()) return vectors::scaleExponentials(logits, vocab, top, scale);
  }
#endif
#pragma omp simd
  for (int64_t v = 0; v < vocab; ++v) fromFloat(scale * fastExp(toFloat(logits[v]) - top), logits[v]);
}

// ln p(target) of a row; with `share` ≠ null the row becomes share·(p − onehot(target)).
template <typename T>
[[gnu::always_inline]] inline float logProbOfRow(T* logits, int64_t vocab, int32_t target, const float* share) {
  float top = toFloat(logits[0]);
#pragma omp simd reduction(max : top)
  for (int64_t v = 0; v < vocab; ++v) top = std::max(top, toFloat(logits[v]));
  const float sum = sumOfExponentials(logits, vocab, top);
  const float chosen = toFloat(logits[target]);
  const float logProb = chosen - top - std::log(sum);
  if (share != nullptr) {
    scaleExponentials(logits, vocab, top, *share / sum);
    fromFloat(*share * std::expm1(logProb), logits[target]);
  }
  return logProb;
}

// ln p of each row; see logProbOfRow.
at::Tensor logProbs(at::Tensor& logits, const at::Tensor& target, const at::Tensor& share) {
  const int64_t tokens = logits.size(0), vocab = logits.size(1);
  if (onCuda(logits)) return logProbsOnCuda(logits, target, share);
  at::Tensor result = at::empty({tokens}, logits.options().dtype(at::kFloat));
  float* const out = result.mutable_data_ptr<float>();
  const int32_t* const goals = target.const_data_ptr<int32_t>();
  const float* const shares = share.defined() ? share.const_data_ptr<float>() : nullptr;
  withType(logits, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T* const rows = logits.mutable_data_ptr<T>();
    parallelSimd(tokens, kRowsOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
      for (int64_t n = begin; n < end; ++n) {
        out[n] = logProbOfRow(rows + n * vocab, vocab, goals[n], shares == nullptr ? nullptr : shares + n);
      }
    });
  });
  return result;
}

// Even runs of tokens whose logits fit. A device reads the weights anew for each run and has room for gigabytes.
int64_t chunkSize(const at::Tensor& x, int64_t vocab, int64_t maxLogits) {
  constexpr int64_t kLogitsOnCuda = int64_t{1} << 29;
  const int64_t tokens = x.size(0);
  if (onCuda(x)) maxLogits = std::max(maxLogits, kLogitsOnCuda);
  const int64_t chunks = std::max<int64_t>((tokens * vocab + maxLogits - 1) / std::max<int64_t>(maxLogits, 1), 1);
  return std::max<int64_t>((tokens + chunks - 1) / chunks, 1);
}

at::ScalarType productType(const at::Tensor& hidden) { return isBfloat16Fast(hidden) ? hidden.scalar_type() : at::kFloat; }

// Whether logits stay in the cache, which is faster where there are few terms between them: the weights' gradient is summed in float32.
bool isPanelled(const at::Tensor& x, const at::Tensor& w) {
  constexpr int64_t kMostTerms = 256, kLargestGradient = 1 << 24;
  if (!isOwnGemm(x, w.t()) || w.size(1) > kMostTerms || w.numel() > kLargestGradient) return false;
  const auto has = [](const auto* kernels) { return kernels != nullptr && kernels->crossEntropy != nullptr; };
  return x.scalar_type() == at::kFloat ? has(packedKernels<float>()) : has(packedKernels<at::BFloat16>());
}

// ln p of each row, dx and dWeight.
at::Tensor byPanels(const at::Tensor& x, const at::Tensor& w, const at::Tensor& target, const at::Tensor& share, int64_t maxLogits,
                    at::Tensor& dx, at::Tensor& dWeight) {
  const at::Tensor weight = w.contiguous(), result = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
  withType(x, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    packedKernels<T>()->crossEntropy(
        {x.const_data_ptr<T>(), weight.const_data_ptr<T>(), target.const_data_ptr<int32_t>(), share.const_data_ptr<float>(), x.size(0),
         x.size(1), w.size(0), result.mutable_data_ptr<float>(), dx.mutable_data_ptr<T>(), dWeight.mutable_data_ptr<T>()},
        maxLogits);
  });
  return result;
}

}  // namespace

CrossEntropy linearCrossEntropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& target, const at::Tensor& tokenWeight,
                                int64_t maxLogits) {
  const int64_t vocab = weight.size(0);
  const auto type = productType(hidden);
  const at::Tensor w = weight.to(type);
  at::Tensor x = hidden.to(type).contiguous(), goal = target.contiguous();
  at::Tensor share = tokenWeight.to(at::kFloat);
  share = at::div(share, share.sum().clamp_min(1)).contiguous();
  at::Tensor kept;  // rows that count: padding costs nothing on the CPU; elsewhere shapes must not depend on values
  if (!onCuda(hidden) && at::any(at::eq(share, 0)).item<bool>()) {
    kept = at::nonzero(share).squeeze(1);
    x = x.index_select(0, kept);
    goal = goal.index_select(0, kept);
    share = share.index_select(0, kept);
  }
  const int64_t tokens = x.size(0), size = chunkSize(x, vocab, maxLogits);
  at::Tensor loss = at::zeros({}, share.options());
  at::Tensor dx = at::empty_like(x);
  const bool isByPanels = isPanelled(x, w);
  const auto options = onCuda(x) ? w.options().dtype(at::kFloat) : w.options();
  at::Tensor dWeight = tokens == 0 ? at::zeros(w.sizes(), options) : at::empty(w.sizes(), options);
  if (isByPanels) loss.sub_(at::dot(byPanels(x, w, goal, share, maxLogits, dx, dWeight), share));
  at::Tensor buffer = at::empty({isByPanels ? 0 : std::min(size, tokens), vocab}, x.options());
  for (int64_t begin = 0; begin < tokens && !isByPanels; begin += size) {
    const int64_t n = std::min(size, tokens - begin);
    const at::Tensor rows = x.narrow(0, begin, n), part = share.narrow(0, begin, n);
    at::Tensor logits = buffer.narrow(0, 0, n), d = dx.narrow(0, begin, n);
    productOut(logits, rows, w.t());
    loss.sub_(at::dot(logProbs(logits, goal.narrow(0, begin, n), part), part));
    productOut(d, logits, w);
    if (onCuda(x))
      sumProductOnCuda(dWeight, logits.t(), rows, begin > 0);
    else if (begin == 0)
      productOut(dWeight, logits.t(), rows);
    else
      addProduct(dWeight, logits.t(), rows);
  }
  if (kept.defined()) dx = at::zeros(hidden.sizes(), dx.options()).index_copy_(0, kept, dx);
  return {loss, dx.to(hidden.scalar_type()), dWeight};
}

at::Tensor linearLogProbs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& target, int64_t maxLogits) {
  const auto type = productType(hidden);
  const at::Tensor w = weight.to(type), x = hidden.to(type).contiguous(), goal = target.contiguous();
  const int64_t tokens = x.size(0), size = chunkSize(x, w.size(0), maxLogits);
  at::Tensor buffer = at::empty({std::min(size, tokens), w.size(0)}, x.options());
  std::vector<at::Tensor> parts = {at::empty({0}, x.options().dtype(at::kFloat))};
  for (int64_t begin = 0; begin < tokens; begin += size) {
    const int64_t n = std::min(size, tokens - begin);
    at::Tensor logits = buffer.narrow(0, 0, n);
    productOut(logits, x.narrow(0, begin, n), w.t());
    parts.push_back(logProbs(logits, goal.narrow(0, begin, n), {}));
  }
  return at::cat(parts);
}

namespace {

void crossEntropy(Call& c) {
  const CrossEntropy r = linearCrossEntropy(c.x(0), c.x(1), c.x(2), c.x(3), c.integer());
  c.result(r.loss);
  c.result(r.dHidden);
  c.result(r.dWeight);
}

void logProbsOp(Call& c) { c.result(linearLogProbs(c.x(0), c.x(1), c.x(2), c.integer())); }

// x times a scalar. On the CPU, where the scalar can be looked at, a factor of 1 costs nothing: a loss that is the whole of
// what is differentiated has that factor, and its gradient may be as large as the model.
void scaled(Call& c) {
  const at::Tensor& factor = c.x(1);
  if (!onCuda(factor) && factor.item<float>() == 1) return c.result(c.x(0));
  c.result(at::mul(c.x(0), factor.reshape({})));
}

const Operations ops = {
    {"TorchLinearCrossEntropy(hidden: float[N, D], weight: float[V, D], target: int32[N] in [0, V), tokenWeight: real[N]; maxLogits: int "
     ">= 1) -> loss: float32[], dHidden: hidden.dtype[N, D], dWeight: float[V, D] where D >= 1, V >= 1",
     crossEntropy},
    {"TorchLinearLogProbs(hidden: float[N, D], weight: float[V, D], target: int32[N] in [0, V); maxLogits: int >= 1) -> logProbs: "
     "float32[N] where D >= 1, V >= 1",
     logProbsOp},
    {"TorchScale(x: float[...S], factor: float[...O]) -> y: float[...S] where #O = 1", scaled},
};

}  // namespace

}  // namespace tfjs_torch
