// Reductions, scans, soft maxima, sorting.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// Parameters of every reduction: axes (sorted, not negative), keepDims.
struct Reduction {
  Dims axes;
  bool keepDims;
  explicit Reduction(Call& c) : axes(c.ints()), keepDims(c.flag()) {}
};

at::Tensor boolAsInt(const at::Tensor& x) { return x.scalar_type() == at::kBool ? x.to(at::kInt) : x; }

// Folds the axes into one that comes last, for operations that ATen has along one axis only.
at::Tensor foldAxes(const at::Tensor& x, const Dims& axes) {
  Dims order;
  Dims shape;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) {
      order.push_back(d);
      shape.push_back(x.size(d));
    }
  }
  int64_t folded = 1;
  for (const int64_t d : axes) {
    order.push_back(d);
    folded *= x.size(d);
  }
  shape.push_back(folded);
  return x.permute(order).reshape(shape);
}

at::Tensor restoreDims(at::Tensor y, const Reduction& r) {
  if (r.keepDims) {
    for (const int64_t d : r.axes) y = y.unsqueeze(d);
  }
  return y;
}

void sum(Call& c) {
  const Reduction r(c);
  const at::Tensor x = boolAsInt(c.x());
  if (r.axes.empty()) return c.result(x);
  c.result(at::sum(x, r.axes, r.keepDims, x.scalar_type()));
}

void mean(Call& c) {
  const Reduction r(c);
  const at::Tensor x = floating(c.x());
  if (r.axes.empty()) return c.result(x);
  c.result(at::mean(x, r.axes, r.keepDims));
}

void prod(Call& c) {
  const Reduction r(c);
  const at::Tensor x = boolAsInt(c.x());
  if (r.axes.empty()) return c.result(x);
  c.result(restoreDims(at::prod(foldAxes(x, r.axes), -1, false, x.scalar_type()), r));
}

void max(Call& c) {
  const Reduction r(c);
  c.result(r.axes.empty() ? c.x() : at::amax(c.x(), r.axes, r.keepDims));
}

void min(Call& c) {
  const Reduction r(c);
  c.result(r.axes.empty() ? c.x() : at::amin(c.x(), r.axes, r.keepDims));
}

void all(Call& c) {
  const Reduction r(c);
  const at::Tensor x = c.x().to(at::kBool);
  c.result(r.axes.empty() ? x : restoreDims(at::all(foldAxes(x, r.axes), -1), r));
}

void any(Call& c) {
  const Reduction r(c);
  const at::Tensor x = c.x().to(at::kBool);
  c.result(r.axes.empty() ? x : restoreDims(at::any(foldAxes(x, r.axes), -1), r));
}

// TensorFlow.js passes over NaN where ATen returns its index.
void argExtremum(Call& c, bool greatest) {
  const int64_t axis = c.integer();
  at::Tensor x = boolAsInt(c.x());
  if (x.is_floating_point()) {
    const double last = greatest ? -INFINITY : INFINITY;
    x = at::nan_to_num(x, last, INFINITY, -INFINITY);
  }
  c.result(greatest ? at::argmax(x, axis) : at::argmin(x, axis));
}

void argMax(Call& c) { argExtremum(c, true); }
void argMin(Call& c) { argExtremum(c, false); }

// Parameters of both scans: axis, exclusive, reverse.
void scan(Call& c, at::Tensor (*run)(const at::Tensor&, int64_t), double neutral) {
  const int64_t axis = c.integer();
  const bool exclusive = c.flag();
  const bool reverse = c.flag();
  at::Tensor x = boolAsInt(c.x());
  if (x.dim() == 0) return c.result(exclusive ? at::full_like(x, neutral) : x);
  if (reverse) x = at::flip(x, axis);
  at::Tensor y = run(x, axis);
  if (exclusive && x.size(axis) > 0) {
    Dims first(x.sizes().begin(), x.sizes().end());
    first[axis] = 1;
    y = at::cat({at::full(first, neutral, y.options()), y.narrow(axis, 0, x.size(axis) - 1)}, axis);
  }
  c.result(reverse ? at::flip(y, axis) : y);
}

void cumsum(Call& c) {
  scan(
      c, [](const at::Tensor& x, int64_t axis) { return at::cumsum(x, axis, x.scalar_type()); }, 0);
}

void cumprod(Call& c) {
  scan(
      c, [](const at::Tensor& x, int64_t axis) { return at::cumprod(x, axis, x.scalar_type()); }, 1);
}

void softmax(Call& c) {
  const int64_t axis = c.integer();
  c.result(at::softmax(floating(c.x()), axis));
}

void logSoftmax(Call& c) {
  const int64_t axis = c.integer();
  c.result(at::log_softmax(floating(c.x()), axis));
}

// Stable: of equal values the lower index comes first.
void topK(Call& c) {
  const int64_t k = c.integer();
  const auto [values, indices] = at::sort(boolAsInt(c.x()), /*stable=*/true, -1, /*descending=*/true);
  c.result(values.narrow(-1, 0, k).to(c.x().scalar_type()).contiguous());
  c.result(indices.narrow(-1, 0, k).contiguous());
}

// Inputs x, weights (may be empty); parameters size, binary. Values at or above size are not counted.
void bincount(Call& c) {
  const int64_t size = c.integer();
  const bool binaryOutput = c.flag();
  const at::Tensor rows = c.x(0).dim() == 2 ? c.x(0) : c.x(0).reshape({1, -1});
  TORCH_CHECK(rows.numel() == 0 || at::ge(rows, 0).all().item<bool>(), "Input x must be non-negative!");
  const at::Tensor& weights = c.x(1);
  const at::Tensor index = at::clamp(rows, 0, size).to(at::kLong);
  at::Tensor values = weights.numel() > 0 ? weights.reshape(rows.sizes()) : at::ones(rows.sizes(), weights.options());
  at::Tensor counts = at::zeros({rows.size(0), size + 1}, weights.options());
  if (binaryOutput) {
    counts.scatter_(1, index, 1);
  } else {
    counts.scatter_add_(1, index, values);
  }
  counts = counts.narrow(1, 0, size).contiguous();
  c.result(c.x(0).dim() == 2 ? counts : counts.reshape({size}));
}

void searchSorted(Call& c) {
  const bool right = c.flag();
  c.result(at::searchsorted(c.x(0).contiguous(), c.x(1).contiguous(), /*out_int32=*/true, right));
}

const Operations ops = {
    {"All(x: any[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", all},
    {"Any(x: any[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", any},
    {"ArgMax(x: real[...]; axis: int in [0, rank(x))) -> y: int32", argMax},
    {"ArgMin(x: real[...]; axis: int in [0, rank(x))) -> y: int32", argMin},
    {"Bincount(x: int32[...], weights: real[...]; size: int >= 0, binaryOutput: bool) -> y", bincount},
    {"Cumprod(x: any[...S]; axis: int in [0, rank(x)), exclusive: bool, reverse: bool) -> y: any[...S]", cumprod},
    {"Cumsum(x: any[...S]; axis: int in [0, rank(x)), exclusive: bool, reverse: bool) -> y: any[...S]", cumsum},
    {"LogSoftmax(logits: real[...S]; axis: int in [-1, rank(logits))) -> y: float[...S]", logSoftmax},
    {"Max(x: real[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", max},
    {"Mean(x: any[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", mean},
    {"Min(x: real[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", min},
    {"Prod(x: any[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", prod},
    {"SearchSorted(sortedSequence: real[...], values: sortedSequence.dtype[...S]; right: bool) -> y: int32[...S]", searchSorted},
    {"Softmax(logits: real[...S]; axis: int in [-1, rank(logits))) -> y: float[...S]", softmax},
    {"Sum(x: any[...]; axes: ints in [0, rank(x)), keepDims: bool) -> y", sum},
    {"TopK(x: real[..., M]; k: int in [0, M]) -> values: real, indices: int32", topK},
};

}  // namespace

}  // namespace tfjs_torch
