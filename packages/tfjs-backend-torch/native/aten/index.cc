// Gathering and scattering by index.
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/graph.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// Names the first index out of range, in TensorFlow.js's words.
void rejectOutOfRange(const at::Tensor& indices, int64_t size) {
  const at::Tensor wrong = at::logical_or(at::lt(indices, 0), at::ge(indices, size));
  const at::Tensor bad = indices.masked_select(wrong);
  TORCH_CHECK(bad.numel() == 0, "GatherV2: the index value ", bad[0].item<int64_t>(), " is not in [0, ", size - 1, "]");
}

// Parameters [batch, outer, dim, slice] (TensorFlow.js's flattening of x) and the output's shape.
void gather(Call& c) {
  const Dims flat = c.ints(4);
  const Dims shape = c.ints();
  const int64_t batch = flat[0], outer = flat[1], dim = flat[2], slice = flat[3];
  const at::Tensor& indices = c.x(1);
  const int64_t perBatch = batch == 0 ? 0 : indices.numel() / batch;
  if (indices.numel() == 0 || c.x(0).numel() == 0) return c.result(at::zeros(shape, c.x(0).options()));
  // On a device an index out of range is an assertion, after which the process can compute nothing more there.
  if (onCuda(c.x(0)) && !isRecording()) rejectOutOfRange(indices, dim);
  if (batch == 1) {
    const at::Tensor rows = c.x(0).reshape({outer, dim, slice});
    try {
      return c.result(rows.index_select(1, indices.reshape({-1}).to(at::kInt)).reshape(shape));
    } catch (const c10::Error&) {
      rejectOutOfRange(indices, dim);
      throw;
    }
  }
  const at::Tensor index = indices.reshape({batch, 1, perBatch, 1}).to(at::kLong).expand({batch, outer, perBatch, slice});
  c.result(c.x(0).reshape(flat).gather(2, index).reshape(shape));
}

// Flat row numbers of index tuples; a tuple outside of dims is an error.
at::Tensor flatIndices(const at::Tensor& indices, at::IntArrayRef dims) {
  const int64_t depth = static_cast<int64_t>(dims.size());
  const at::Tensor tuples = indices.reshape({-1, depth}).to(at::kLong);
  at::Tensor flat = at::zeros({tuples.size(0)}, tuples.options());
  at::Tensor outside = at::zeros({}, tuples.options().dtype(at::kBool));
  for (int64_t d = 0; d < depth; ++d) {
    const at::Tensor column = tuples.select(1, d);
    outside = at::logical_or(outside, at::logical_or(at::lt(column, 0), at::ge(column, dims[d])).any());
    flat = at::add(at::mul(flat, dims[d]), column);
  }
  TORCH_CHECK(tuples.numel() == 0 || !outside.item<bool>(), "Invalid indices: an index tuple does not index into ", dims);
  return flat;
}

// Parameters index depth, output shape.
void gatherNd(Call& c) {
  const int64_t depth = c.integer();
  const Dims shape = c.ints();
  const at::Tensor& x = c.x(0);
  TORCH_CHECK(depth >= 0 && depth <= x.dim(), "indices of depth ", depth, " into shape ", x.sizes());
  int64_t rows = 1;
  for (int64_t d = 0; d < depth; ++d) rows *= x.size(d);
  const int64_t width = rows == 0 ? 0 : x.numel() / rows;
  const at::Tensor flat = flatIndices(c.x(1), x.sizes().slice(0, depth));
  c.result(x.reshape({rows, width}).index_select(0, flat).reshape(shape));
}

struct Scatter {
  Dims shape;
  int64_t depth;
  int64_t rows = 1;
  int64_t width = 1;
  explicit Scatter(Call& c) : shape(c.ints()), depth(c.integer()) {
    TORCH_CHECK(depth >= 0 && depth <= static_cast<int64_t>(shape.size()), "indices of depth ", depth, " into shape ", shape);
    for (int64_t d = 0; d < static_cast<int64_t>(shape.size()); ++d) (d < depth ? rows : width) *= shape[d];
  }
  at::Tensor flat(const at::Tensor& indices) const { return flatIndices(indices, at::IntArrayRef(shape).slice(0, depth)); }
};

// Inputs indices, updates. Duplicates add up.
void scatterNd(Call& c) {
  const Scatter s(c);
  const bool isBool = c.x(1).scalar_type() == at::kBool;
  const at::Tensor updates = (isBool ? c.x(1).to(at::kInt) : c.x(1)).reshape({-1, s.width});
  at::Tensor y = at::zeros({s.rows, s.width}, updates.options());
  if (updates.numel() > 0) y.index_add_(0, s.flat(c.x(0)), updates);
  c.result((isBool ? y.to(at::kBool) : y).reshape(s.shape));
}

// Inputs tensor, indices, updates. The last of duplicates stands.
void tensorScatterUpdate(Call& c) {
  const Scatter s(c);
  at::Tensor y = c.x(0).clone(at::MemoryFormat::Contiguous).reshape({s.rows, s.width});
  if (c.x(2).numel() > 0) y.index_copy_(0, s.flat(c.x(1)), c.x(2).reshape({-1, s.width}));
  c.result(y.reshape(s.shape));
}

// Inputs indices, values (a scalar stands for all), default value.
void sparseToDense(Call& c) {
  const Scatter s(c);
  at::Tensor y = c.x(2).to(c.x(1).scalar_type()).reshape({1, 1}).expand({s.rows, s.width}).contiguous();
  const at::Tensor flat = s.flat(c.x(0));
  if (flat.numel() > 0) {
    const at::Tensor& values = c.x(1);
    y.index_copy_(0, flat, values.dim() == 0 ? values.expand({flat.numel(), s.width}) : values.reshape({-1, s.width}));
  }
  c.result(y.reshape(s.shape));
}

// Inputs x, ids (ids' shape is a prefix of x's). Negative ids are dropped.
void segmentSum(Call& c) {
  const int64_t segments = c.integer();
  const at::Tensor& x = c.x(0);
  const at::Tensor& ids = c.x(1);
  const int64_t n = ids.numel();
  TORCH_CHECK(ids.dim() <= x.dim(), "segment ids have more dimensions than x");
  const at::Tensor rows = (x.scalar_type() == at::kBool ? x.to(at::kInt) : x).reshape({n, n == 0 ? 0 : x.numel() / n});
  // One spare row takes what is dropped.
  const at::Tensor flat = ids.reshape({-1}).to(at::kLong);
  const at::Tensor index = at::where(at::logical_or(at::lt(flat, 0), at::ge(flat, segments)), segments, flat);
  const at::Tensor sums = at::zeros({segments + 1, rows.size(1)}, rows.options()).index_add_(0, index, rows);
  Dims shape(x.sizes().slice(ids.dim()).begin(), x.sizes().end());
  shape.insert(shape.begin(), segments);
  c.result(sums.narrow(0, 0, segments).reshape(shape));
}

// Parameters depth, on, off, dtype.
void oneHot(Call& c) {
  const int64_t depth = c.integer();
  const double on = c.number();
  const double off = c.number();
  const at::ScalarType type = c.dtype();
  const at::Tensor& indices = c.x();
  const at::Tensor classes = at::arange(depth, indices.options());
  const at::Tensor hot = at::eq(indices.unsqueeze(-1), classes);
  c.result(at::where(hot, on, off).to(type));
}

const Operations ops = {
    {"GatherNd(params: any[...], indices: int32[...]; depth: int in [0, rank(params)], shape: ints >= 0) -> y", gatherNd},
    {"GatherV2(x: any[...], indices: int32[...]; flat: ints[4] >= 0, shape: ints >= 0) -> y", gather},
    {"OneHot(indices: int32[...I]; depth: int >= 0, onValue: number, offValue: number, dtype: {float32, int32, bool, complex64}) -> y: "
     "any[...I, depth]",
     oneHot},
    {"ScatterNd(indices: int32[...], updates: any[...]; shape: ints >= 0, depth: int >= 0) -> y", scatterNd},
    {"SparseToDense(indices: int32[...], values: any[...], defaultValue: any[]; shape: ints >= 0, depth: int >= 0) -> y", sparseToDense},
    {"TensorScatterUpdate(tensor: any[...S], indices: int32[...], updates: tensor.dtype[...]; shape: ints >= 0, depth: int >= 0) -> y: "
     "any[...S]",
     tensorScatterUpdate},
    {"UnsortedSegmentSum(x: any[...], segmentIds: int32[...]; numSegments: int >= 0) -> y", segmentSum},
};

}  // namespace

}  // namespace tfjs_torch
