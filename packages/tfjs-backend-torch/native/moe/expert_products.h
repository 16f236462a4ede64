#pragma once

// One expert's matrix products, by libtorch or, for few rows, by ours.

#include <numeric>
#include <utility>

#include "cpu/gemm/matmul.h"
#include "cpu/gemm/skinny/skinny_gemm.h"
#include "cpu/tasks.h"
#include "moe/expert_rows.h"
#include "optim/square_sums.h"

namespace tfjs_torch {

// A weight matrix in the products' width: itself, or its copy in `scratch`.
inline at::Tensor inWidth(const at::Tensor& weight, const at::Tensor& scratch) {
  if (weight.scalar_type() == scratch.scalar_type()) return weight;
  const at::Tensor copy = scratch.reshape({-1}).narrow(0, 0, weight.numel()).view(weight.sizes());
  convert(weight, copy);
  return copy;
}

// Kernels that pack convert a weight on the way. With few rows in float32 reading the weights takes the time, and others do without
// packing.
inline bool isPackedGemm(const at::Tensor& x, int64_t rows) {
  constexpr int64_t kFewFloats = 32;
  return isPacked(x.scalar_type()) && (x.scalar_type() == at::kBFloat16 || rows > kFewFloats);
}

// Elsewhere few rows are multiplied in float32, in which the weights lie, whatever their own width: reading the weights is what takes the
// time.
inline bool isFew(const at::Tensor& x, const at::Tensor& weight) {
  return weight.scalar_type() == at::kFloat && hasFewRows(x.size(0), weight.size(0), weight.size(1));
}

// x, or room for as much in float32.
inline at::Tensor floatRoom(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? x : at::empty(x.sizes(), at::TensorOptions().dtype(at::kFloat));
}

inline at::Tensor asFloat(const at::Tensor& x) {
  const at::Tensor inFloat = floatRoom(x);
  if (!inFloat.is_same(x)) convert(x, inFloat);
  return inFloat;
}

// out ← x·Wᵀ, with W in x's width or brought to it in `scratch`.
inline void timesTransposed(at::Tensor out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scratch) {
  if (isPackedGemm(x, x.size(0))) return ownGemm(out, x, weight.t(), false);
  if (!isFew(x, weight)) return productOut(out, x, inWidth(weight, scratch).t());
  const at::Tensor y = floatRoom(out);
  fewRowsTimesTransposed(asFloat(x).const_data_ptr<float>(), weight.const_data_ptr<float>(), x.size(0), weight.size(0), weight.size(1),
                         y.mutable_data_ptr<float>());
  if (!y.is_same(out)) convert(y, out);
}

// out ← x·W, or out + x·W.
inline void times(at::Tensor out, const at::Tensor& x, const at::Tensor& weight, bool add, const at::Tensor& scratch) {
  if (isPackedGemm(x, x.size(0))) return ownGemm(out, x, weight, add);
  if (!isFew(x, weight)) {
    if (add) return addProduct(out, x, inWidth(weight, scratch));
    return productOut(out, x, inWidth(weight, scratch));
  }
  const at::Tensor y = add ? asFloat(out) : floatRoom(out);
  fewRowsTimes(asFloat(x).const_data_ptr<float>(), weight.const_data_ptr<float>(), x.size(0), weight.size(0), weight.size(1), add,
               y.mutable_data_ptr<float>());
  if (!y.is_same(out)) convert(y, out);
}

// out ← a·b, through `scratch` where out has another width.
inline void productInto(at::Tensor out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& scratch) {
  if (out.scalar_type() == a.scalar_type()) {
    productOut(out, a, b);
    return;
  }
  at::Tensor inFloat = scratch.reshape({-1}).narrow(0, 0, out.numel()).view(out.sizes());
  productOut(inFloat, a, b);
  convert(inFloat, out);
}

// Expert e's weight gradient Aᵀ·B, and its sums of squares where they come with it.
inline void weightGradient(const at::Tensor& gradient, int64_t e, const at::Tensor& a, const at::Tensor& b, const at::Tensor& scratch) {
  const at::Tensor out = gradient[e];
  const int64_t terms = a.size(0), rows = out.size(0), columns = out.size(1);
  SquareSums& sums = *squareSums(gradient);
  float *const byRow = sums.rows.data() + e * rows, *const byColumn = sums.columns.data() + e * columns;
  if (isPackedGemm(a, a.size(0)) && workersHere() == 1) {
    const ResultSquares squares{byRow, byColumn};
    ownGemm(out, a.t(), b, false, &squares);
    sums.total[e] = std::accumulate(byRow, byRow + rows, 0.0);
    return;
  }
  if (!hasFewRows(terms, rows, columns)) {
    productInto(out, a.t(), b, scratch);
    return;
  }
  sums.total[e] = outerProduct(asFloat(a).const_data_ptr<float>(), asFloat(b).const_data_ptr<float>(), terms, rows, columns,
                               {out.mutable_data_ptr(), out.scalar_type() == at::kBFloat16}, byRow, byColumn);
}

inline at::Tensor emptyGradient(const at::Tensor& weight, at::TensorOptions options) {
  at::Tensor gradient = at::empty(weight.sizes(), options);
  auto sums = c10::make_intrusive<SquareSums>();
  sums->total.resize(weight.size(0), -1);
  sums->rows.resize(weight.size(0) * weight.size(1));
  sums->columns.resize(weight.size(0) * weight.size(2));
  setSquareSums(gradient, std::move(sums));
  return gradient;
}

}  // namespace tfjs_torch
