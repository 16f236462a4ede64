#pragma once

// One expert's matrix products, by libtorch or, for few rows, by ours.

#include <utility>

#include "expert_rows.h"
#include "few_rows.h"
#include "products.h"
#include "square_sums.h"

namespace tfjs_torch {

// A weight matrix in the products' width: itself, or its copy in `scratch`.
inline at::Tensor inWidth(const at::Tensor& weight, const at::Tensor& scratch) {
  if (weight.scalar_type() == scratch.scalar_type()) return weight;
  const at::Tensor copy = scratch.reshape({-1}).narrow(0, 0, weight.numel()).view(weight.sizes());
  convert(weight, copy);
  return copy;
}

inline bool isFew(const at::Tensor& x, const at::Tensor& weight) {
  return x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat &&
         hasFewRows(x.size(0), weight.size(0), weight.size(1));
}

// out ← x·Wᵀ, with W in x's width or brought to it in `scratch`.
inline void timesTransposed(at::Tensor out, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scratch) {
  if (isFew(x, weight)) {
    fewRowsTimesTransposed(x.const_data_ptr<float>(), weight.const_data_ptr<float>(), x.size(0), weight.size(0), weight.size(1),
                           out.mutable_data_ptr<float>());
  } else {
    productOut(out, x, inWidth(weight, scratch).t());
  }
}

// out ← x·W, or out + x·W.
inline void times(at::Tensor out, const at::Tensor& x, const at::Tensor& weight, bool add, const at::Tensor& scratch) {
  if (isFew(x, weight)) {
    fewRowsTimes(x.const_data_ptr<float>(), weight.const_data_ptr<float>(), x.size(0), weight.size(0), weight.size(1), add,
                 out.mutable_data_ptr<float>());
  } else if (add) {
    addProduct(out, x, inWidth(weight, scratch));
  } else {
    productOut(out, x, inWidth(weight, scratch));
  }
}

// out ← a·b, through `scratch` where out has another width.
inline void productInto(at::Tensor out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& scratch) {
  if (out.scalar_type() == a.scalar_type()) {
    productOut(out, a, b);
    return;
  }
  at::Tensor wide = scratch.reshape({-1}).narrow(0, 0, out.numel()).view(out.sizes());
  productOut(wide, a, b);
  convert(wide, out);
}

// Expert e's weight gradient Aᵀ·B, and its sums of squares where they come with it.
inline void weightGradient(const at::Tensor& gradient, int64_t e, const at::Tensor& a, const at::Tensor& b, const at::Tensor& scratch) {
  const at::Tensor out = gradient[e];
  const int64_t terms = a.size(0), rows = out.size(0), columns = out.size(1);
  if (gradient.scalar_type() != at::kFloat || !hasFewRows(terms, rows, columns)) {
    productInto(out, a.t(), b, scratch);
    return;
  }
  SquareSums& sums = *squareSums(gradient);
  sums.total[e] = outerProduct(a.const_data_ptr<float>(), b.const_data_ptr<float>(), terms, rows, columns,
                               out.mutable_data_ptr<float>(), sums.rows.data() + e * rows, sums.columns.data() + e * columns);
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
