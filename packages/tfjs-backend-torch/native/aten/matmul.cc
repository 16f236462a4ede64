// Matrix products.
#include <algorithm>

#include "cpu/gemm/matmul.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

bool isBfloat16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

// A product with one bfloat16 operand is computed in bfloat16: the model converts what is to run on the matrix units,
// and a float32 gradient that meets it is converted too.
at::Tensor widthProduct(at::Tensor a, at::Tensor b) {
  if (isBfloat16(a) != isBfloat16(b)) {
    a = a.to(at::kBFloat16);
    b = b.to(at::kBFloat16);
  }
  const bool whole = !a.is_floating_point() && !a.is_complex();
  if (whole && onCuda(a)) {  // CUDA has no integer matrix product; double is exact below 2^53.
    return widthProduct(a.to(at::kDouble), b.to(at::kDouble)).to(at::kInt);
  }
  if (whole) {
    a = a.to(at::kInt);
    b = b.to(at::kInt);
  }
  // One matrix for a whole batch: as one large product instead of many small ones.
  if (b.dim() > 2 && b.dim() <= a.dim() && b.numel() == b.size(-1) * b.size(-2)) {
    b = b.reshape({b.size(-2), b.size(-1)});
  }
  if (b.dim() == 2 && a.dim() >= 2 && a.size(-1) == b.size(0)) {
    Dims shape(a.sizes().begin(), a.sizes().end());
    shape.back() = b.size(1);
    return product(a.dim() == 2 ? a : a.reshape({-1, a.size(-1)}), b).reshape(shape);
  }
  return products(a, b);
}

at::Tensor transposedProduct(const at::Tensor& a, const at::Tensor& b, bool transposeA, bool transposeB) {
  return widthProduct(transposeA ? a.transpose(-2, -1) : a, transposeB ? b.transpose(-2, -1) : b);
}

void batchMatMul(Call& c) {
  const bool transposeA = c.flag();
  const bool transposeB = c.flag();
  c.result(transposedProduct(c.x(0), c.x(1), transposeA, transposeB));
}

// Inputs a, b, [bias], [prelu weights].
void fusedMatMul(Call& c) {
  const bool transposeA = c.flag();
  const bool transposeB = c.flag();
  const int64_t activation = c.integer();
  const double alpha = c.number();
  at::Tensor y = transposedProduct(c.x(0), c.x(1), transposeA, transposeB);
  if (c.has(2)) y = at::add(y, c.x(2));
  c.result(activate(y, activation, c.x(3), alpha));
}

void einsum(Call& c) {
  const std::string equation = c.text();
  std::vector<at::Tensor> operands = c.inputs();
  if (std::none_of(operands.begin(), operands.end(), isBfloat16)) return c.result(at::einsum(equation, operands));
  for (auto& x : operands) x = inFastWidth(x.to(at::kBFloat16));
  c.result(at::einsum(equation, operands).to(at::kBFloat16));
}

const Operations ops = {
    {"BatchMatMul(a: any[..., M, N], b: any[..., P, Q]; transposeA: bool, transposeB: bool) -> y", batchMatMul},
    {"Einsum(operands...: any[...]; equation: text) -> y", einsum},
    {"_FusedMatMul(a: any[..., M, N], b: any[..., P, Q], bias?: any[...], preluActivationWeights?: any[...]; transposeA: bool, transposeB: "
     "bool, activation: {linear, relu, relu6, elu, sigmoid, prelu, leakyrelu}, leakyreluAlpha: number) -> y",
     fusedMatMul},
};

}  // namespace

}  // namespace tfjs_torch
