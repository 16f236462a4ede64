#pragma once

// The layers' parts on CUDA tensors: by kernels of our own where this build has them and they are for these sizes, else by ATen's
// operations. N rows.

#include <ATen/ATen.h>

#include <utility>

#include "t5/attention_shape.h"

namespace tfjs_torch {

// x [..., D], weight float32 [D] -> y of `type`, inverse root mean square [N].
std::pair<at::Tensor, at::Tensor> rmsNormOnCuda(const at::Tensor& x, const at::Tensor& weight, float epsilon, at::ScalarType type);
// -> dx in x's dtype, to which `known` (undefined: nothing) is added, and the weight's gradient [D].
std::pair<at::Tensor, at::Tensor> rmsNormGradientOnCuda(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                                        const at::Tensor& inverse, const at::Tensor& known);

// h [N, 2F], gate and value side by side -> gelu(gate)·value [N, F].
at::Tensor gatedGeluOnCuda(const at::Tensor& h);
// -> dh [N, 2F], and the hidden activation once more.
std::pair<at::Tensor, at::Tensor> gatedGeluGradientOnCuda(const at::Tensor& dHidden, const at::Tensor& h);

// ln p(target) of rows of logits [N, V], float32 [N]; with `share` [N] the rows become share·(p − onehot(target)).
at::Tensor logProbsOnCuda(at::Tensor& logits, const at::Tensor& target, const at::Tensor& share);
// sum (float32) ← a·b, or sum + a·b, with float32 sums whatever the operands' dtype.
void sumProductOnCuda(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, bool add);

// Heads of q [B, T, ...] from column 0 on, of keys and values in kv [B, S, ...] from `key` on, one behind the other. Both parts of the bias
// may be undefined: position [T+S−1, H] and real [B, S].
struct HeadsOnCuda {
  AttentionShape shape;
  at::Tensor q, kv;
  int64_t key;
  at::Tensor position, real;
  at::Tensor factors;  // of dropout, [B, H, T, S]; undefined without
};
// -> values attended to [B, T, H·K]; the largest score and 1/Σ e^(score − largest) of each query, [2, B, H, T].
std::pair<at::Tensor, at::Tensor> attendOnCuda(const HeadsOnCuda& heads);
struct HeadGradients {
  at::Tensor dq;         // [B, T, H·K], or [B, T, 3·H·K] where keys and values are the queries' sequence (key > 0)
  at::Tensor dkv;        // [B, S, 2·H·K], or dq
  at::Tensor dPosition;  // [H, T+S−1]; undefined without a position
};
HeadGradients attendGradientOnCuda(const HeadsOnCuda& heads, const at::Tensor& context, const at::Tensor& dContext,
                                   const at::Tensor& stats);

}  // namespace tfjs_torch
