// Matrix products.
#include <algorithm>

#include "cpu/gemm/matmul.h"
#include "runtime/call.h"

namespace tfjs_torch {
namespace {

bool isNarrow(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

// A product with one narrow (bfloat16) operand is computed narrow: the model narrows what is to run on the matrix units,
// and a float32 gradient that meets it is narrowed too.
at::Tensor widthProduct(at::Tensor a, at::Tensor b) {
  if (isNarrow(a) != isNarrow(b)) {
    a = a.to(at::kBFloat16);
    b = b.to(at::kBFloat16);
  }
  const bool whole = !a.is_floating_point() && !a.is_complex();
  if (whole && a.is_cuda()) {  // CUDA has no integer matrix product; double is exact below 2^53.
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
  TORCH_CHECK(a.dim() >= 2 && b.dim() >= 2, "both operands must have at least two dimensions");
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
  const bool hasBias = c.flag();
  const int64_t activation = c.integer();
  const double alpha = c.number();
  at::Tensor y = transposedProduct(c.x(0), c.x(1), transposeA, transposeB);
  if (hasBias) y = at::add(y, c.x(2));
  c.result(activate(y, activation, c.count() > 2 ? c.inputs().back() : at::Tensor(), alpha));
}

void einsum(Call& c) {
  const std::string equation = c.text();
  std::vector<at::Tensor> operands = c.inputs();
  if (std::none_of(operands.begin(), operands.end(), isNarrow)) return c.result(at::einsum(equation, operands));
  for (auto& x : operands) x = inFastWidth(x.to(at::kBFloat16));
  c.result(at::einsum(equation, operands).to(at::kBFloat16));
}

}  // namespace

void addMatmulOps(OpTable& ops) {
  const OpTable table = {{"BatchMatMul", batchMatMul}, {"Einsum", einsum}, {"_FusedMatMul", fusedMatMul}};
  ops.insert(ops.end(), table.begin(), table.end());
}

}  // namespace tfjs_torch
