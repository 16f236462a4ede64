#pragma once

// Matrix products whose operands are packed into panels first, and attention's heads by the same microkernels: one implementation
// (cpu/gemm/packed/), one microkernel an instruction set (cpu/gemm/amx/, cpu/gemm/avx512/).

#include <type_traits>

#include "cpu/gemm/own_gemm.h"
#include "t5/attention_shape.h"

namespace tfjs_torch::packed {

// A matrix of bfloat16 or of float32. What is not of the kernels' type is converted when it is packed.
struct Operand {
  const void* data;
  int64_t rows, columns, distance;
  bool byRow, isFloat;
  template <typename T>
  Operand(const Lines<T>& x)  // NOLINT: the same matrix
      : data(x.data), rows(x.rows), columns(x.columns), distance(x.distance), byRow(x.byRow), isFloat(std::is_same_v<T, float>) {}
};

// Operands of attention's heads, as t5/attention_heads.h has them; `ctx` is a result forward and given backward, the gradients of q, k and
// v may lie in one tensor.
template <typename T>
struct HeadOperands {
  HeadRows<T> q, k, v, ctx;
};
template <typename T>
struct HeadGradients {
  HeadRows<T> dq, dk, dv;
};

// The output layer and its cross-entropy: hidden states [tokens, width], weight [vocab, width], both contiguous, targets and shares of the
// loss [tokens] -> ln p(target), and the gradients of Σ share·(-ln p(target)).
template <typename T>
struct CrossEntropyOperands {
  const T *hidden, *weight;
  const int32_t* target;
  const float* share;
  int64_t tokens, width, vocab;
  float* logProb;
  T *dHidden, *dWeight;
};

// What one instruction set computes of matrices of T (bfloat16, with sums in float32, or float32). The number of threads changes no bit.
template <typename T>
struct Kernels {
  // out ← a·b, or out + a·b, on all threads or inside a parallel region on its own. `squares` as in cpu/gemm/own_gemm.h.
  void (*multiply)(const Operand& a, const Operand& b, const Bfloat16Result& out, const ResultSquares* squares);
  void (*attendHeads)(const AttentionShape& s, const HeadOperands<T>& x, const AttentionBias& bias, float* most, float* inverse);
  // dPosition [B, H, T+S-1], zeros at first, takes the sum over queries and keys of a distance.
  void (*attendHeadsGrad)(const AttentionShape& s, const HeadOperands<T>& x, const HeadRows<T>& dctx, const AttentionBias& bias,
                          const float* most, const float* inverse, const HeadGradients<T>& gradients, float* dPosition);
  // At most so many logits at once, or those of 32 tokens. Null where it brings nothing.
  void (*crossEntropy)(const CrossEntropyOperands<T>& x, int64_t maxLogits);
};

// Null where this build or this CPU has not the instructions: AMX-BF16, AVX512-BF16 (vdpbf16ps), AVX512F.
const Kernels<c10::BFloat16>* amxKernels();
const Kernels<c10::BFloat16>* avx512Bf16Kernels();
const Kernels<float>* avx512Float32Kernels();

}  // namespace tfjs_torch::packed
