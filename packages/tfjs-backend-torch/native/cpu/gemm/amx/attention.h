#pragma once

#include "t5/attention_shape.h"

namespace tfjs_torch::amx {

// The heads of attention by a CPU's matrix units: softmax and its gradient write what is multiplied next as panels. As t5/attention_heads.h
// has them; `ctx` is a result forward and given backward, the gradients of q, k and v may lie in one tensor.
struct HeadOperands {
  HeadRows<c10::BFloat16> q, k, v, ctx;
};
struct HeadGradients {
  HeadRows<c10::BFloat16> dq, dk, dv;
};

void attendHeads(const AttentionShape& s, const HeadOperands& x, const AttentionBias& bias, float* most, float* inverse);

// dPosition [B, H, T+S-1], zeros at first, takes the sum over queries and keys of a distance.
void attendHeadsGrad(const AttentionShape& s, const HeadOperands& x, const HeadRows<c10::BFloat16>& dctx, const AttentionBias& bias,
                     const float* most, const float* inverse, const HeadGradients& gradients, float* dPosition);

}  // namespace tfjs_torch::amx
