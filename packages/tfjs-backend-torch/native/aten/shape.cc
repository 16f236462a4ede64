// Creation, layout, slicing, joining, padding.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// A view keeps its whole storage alive. A small piece is copied, so that a row that is kept does not keep a matrix.
at::Tensor piece(const at::Tensor& view, const at::Tensor& whole) {
  return view.numel() * 4 < whole.numel() ? view.clone(at::MemoryFormat::Contiguous) : view;
}

void reshape(Call& c) { c.result(c.x().reshape(c.ints()).contiguous()); }
void transpose(Call& c) { c.result(c.x().permute(c.ints())); }

void slice(Call& c) {
  const Dims begin = c.ints(c.x().dim());
  const Dims size = c.ints(c.x().dim());
  at::Tensor y = c.x();
  for (int64_t d = 0; d < y.dim(); ++d) {
    if (begin[d] != 0 || size[d] != y.size(d)) y = y.narrow(d, begin[d], size[d]);
  }
  c.result(piece(y, c.x()));
}

// Parameters begin, size (of the sliced, not yet squeezed shape), strides, final shape.
void stridedSlice(Call& c) {
  const Dims begin = c.ints(c.x().dim());
  const Dims size = c.ints(c.x().dim());
  const Dims strides = c.ints(c.x().dim());
  const Dims shape = c.ints();
  at::Tensor y = c.x();
  for (int64_t d = 0; d < y.dim(); ++d) {
    if (strides[d] > 0) {
      y = size[d] == 0 ? y.narrow(d, 0, 0) : y.slice(d, begin[d], begin[d] + (size[d] - 1) * strides[d] + 1, strides[d]);
    } else {
      const at::Tensor index = at::add(at::mul(at::arange(size[d], y.options().dtype(at::kLong)), strides[d]), begin[d]);
      y = y.index_select(d, index);
    }
  }
  c.result(piece(y, c.x()).reshape(shape));
}

void concat(Call& c) {
  const int64_t axis = c.integer();
  c.result(at::cat(c.inputs(), axis));
}

void pack(Call& c) {
  const int64_t axis = c.integer();
  c.result(at::stack(c.inputs(), axis));
}

void unpack(Call& c) {
  const int64_t axis = c.integer();
  for (const auto& part : at::unbind(c.x(), axis)) c.result(piece(part, c.x()));
}

void split(Call& c) {
  const int64_t axis = c.integer();
  const Dims sizes = c.ints();
  for (const auto& part : at::split_with_sizes(c.x(), sizes, axis)) c.result(piece(part, c.x()));
}

void tile(Call& c) { c.result(c.x().repeat(c.ints())); }

// Parameters as ATen has them: last dimension first, before and after; then the value.
void pad(Call& c) {
  const Dims paddings = c.ints();
  const double value = c.number();
  c.result(at::constant_pad_nd(c.x(), paddings, value));
}

// Paddings before and after for each dimension; offset 0 reflects at the border's element, 1 repeats it.
void mirrorPad(Call& c) {
  const Dims paddings = c.ints(2 * c.x().dim());
  const int64_t offset = c.integer();
  at::Tensor y = c.x();
  for (int64_t d = 0; d < y.dim(); ++d) {
    const int64_t before = paddings[2 * d];
    const int64_t size = y.size(d);
    std::vector<int64_t> from(before + size + paddings[2 * d + 1]);
    for (int64_t i = 0; i < static_cast<int64_t>(from.size()); ++i) {
      int64_t at = i;
      if (at < before) {
        at = before * 2 - at - offset;
      } else if (at >= before + size) {
        at = (before + size - 1) * 2 - at + offset;
      }
      from[i] = at - before;
    }
    if (static_cast<int64_t>(from.size()) == size) continue;
    y = y.index_select(d, at::tensor(from, at::kLong).to(y.device()));
  }
  c.result(y);
}

void reverse(Call& c) { c.result(at::flip(c.x(), c.ints())); }

void fill(Call& c) {
  const at::ScalarType type = c.dtype();
  const double value = c.number();
  const Dims shape = c.ints();
  c.result(at::full(shape, value, c.options(type)));
}

// Parameters start, step, count, dtype: the count is TensorFlow.js's, so that rounding cannot differ.
void range(Call& c) {
  const double start = c.number();
  const double step = c.number();
  const int64_t count = c.integer();
  const at::ScalarType type = c.dtype();
  c.result(at::add(at::mul(at::arange(count, c.options(at::kDouble)), step), start).to(type));
}

void diagonal(Call& c) {
  const at::Tensor flat = c.x().reshape({-1});
  Dims shape(c.x().sizes().begin(), c.x().sizes().end());
  shape.append(c.x().sizes().begin(), c.x().sizes().end());
  c.result(at::diag_embed(flat).reshape(shape));
}

// Reshape, permute, reshape: space to depth, space to batch and their inverses.
void rearrange(Call& c) {
  const Dims before = c.ints();
  const Dims order = c.ints();
  const Dims after = c.ints();
  c.result(c.x().reshape(before).permute(order).reshape(after));
}

const Operations ops = {
    {"Concat(xs...: any[...]; axis: int in [0, rank(xs))) -> y", concat},
    {"Reshape(x: any[...]; shape: ints >= 0) -> y", reshape},
    {"Diag(x: any[...]) -> y", diagonal},
    {"Fill(; dtype: {float32, int32, bool, complex64}, value: number, shape: ints >= 0) -> y", fill},
    {"MirrorPad(x: any[...]; paddings: ints[2 * rank(x)] >= 0, offset: int in [0, 1]) -> y", mirrorPad},
    {"Pack(xs...: any[...S]; axis: int in [0, rank(xs)]) -> y", pack},
    {"PadV2(x: any[...]; paddings: ints[2 * rank(x)] >= 0, constantValue: number) -> y", pad},
    {"Range(; start: number, step: number, count: int >= 0, dtype: {float32, int32, bool, complex64}) -> y: any[count]", range},
    {"Rearrange(x: any[...]; before: ints >= 0, order: ints >= 0, after: ints >= 0) -> y", rearrange},
    {"Reverse(x: any[...S]; axes: ints in [0, rank(x))) -> y: x.dtype[...S]", reverse},
    {"Slice(x: any[...]; begin: ints[rank(x)] >= 0, size: ints[rank(x)] >= 0) -> y", slice},
    {"SplitV(x: any[...]; axis: int in [0, rank(x)), sizes: ints >= 0) -> ys...", split},
    {"StridedSlice(x: any[...]; begin: ints[rank(x)], size: ints[rank(x)] >= 0, strides: ints[rank(x)], shape: ints >= 0) -> y",
     stridedSlice},
    {"Tile(x: any[...]; reps: ints[rank(x)] >= 0) -> y", tile},
    {"Transpose(x: any[...]; perm: ints[rank(x)] in [0, rank(x))) -> y", transpose},
    {"Unpack(value: any[...]; axis: int in [0, rank(value))) -> ys...", unpack},
};

}  // namespace

}  // namespace tfjs_torch
