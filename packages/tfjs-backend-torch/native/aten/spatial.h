#pragma once

#include "runtime/call.h"

namespace tfjs_torch {

// What an image is padded by: `inner` by the operation itself where both sides are alike, else `outer` beforehand. `outer` may
// be negative: border that no window reaches is cut off.
struct Padding {
  Dims inner;
  Dims outer;  // as constant_pad_nd has it: last dimension first, before and after

  bool isOuter() const {
    return std::any_of(outer.begin(), outer.end(), [](int64_t p) { return p != 0; });
  }
  at::Tensor apply(const at::Tensor& image, const at::Scalar& value) const {
    return isOuter() ? at::constant_pad_nd(image, outer, value) : image;
  }
  at::Tensor crop(const at::Tensor& image) const {
    if (!isOuter()) return image;
    Dims opposite = outer;
    for (auto& p : opposite) p = -p;
    return at::constant_pad_nd(image, opposite, 0);
  }
  Dims shape(const at::Tensor& image) const {
    Dims sizes(image.sizes().begin(), image.sizes().end());
    const size_t n = outer.size() / 2;
    for (size_t d = 0; d < n; ++d) sizes[sizes.size() - 1 - d] += outer[2 * d] + outer[2 * d + 1];
    return sizes;
  }
};

// Geometry that convolutions and pooling share. Parameters: strides, dilations, padding before, output sizes, channels last.
struct Spatial {
  Dims strides, dilations, before, out;
  bool channelsLast;

  explicit Spatial(Call& c)
      : strides(c.ints()), dilations(c.ints(rank())), before(c.ints(rank())), out(c.ints(rank())), channelsLast(c.flag()) {
    TORCH_CHECK((rank() == 2 || rank() == 3) && c.x().dim() == rank() + 2, "expected an image of rank 4 or 5");
  }

  Dims zeros() const {
    Dims none = strides;
    std::fill(none.begin(), none.end(), int64_t{0});
    return none;
  }

  int64_t rank() const { return static_cast<int64_t>(strides.size()); }

  // No window fits: TensorFlow.js then has an empty result.
  bool isEmpty() const {
    return std::any_of(out.begin(), out.end(), [](int64_t size) { return size <= 0; });
  }
  at::Tensor empty(const at::Tensor& image, int64_t channels) const {
    Dims shape = {image.size(0), channels};
    for (const int64_t size : out) shape.push_back(std::max<int64_t>(size, 0));
    return fromAten(at::zeros(shape, image.options()));
  }

  at::Tensor toAten(const at::Tensor& image) const { return channelsLast ? image.movedim(-1, 1) : image; }
  at::Tensor fromAten(const at::Tensor& image) const { return channelsLast ? image.movedim(1, -1) : image; }

  // Padding after follows from the output's size, so that every rounding mode comes out as TensorFlow.js has it.
  Padding padding(const at::Tensor& image, const Dims& kernel, bool allowInner = true) const {
    Padding p;
    p.inner = before;
    bool alike = allowInner;
    for (int64_t d = rank() - 1; d >= 0; --d) {
      const int64_t size = image.size(d + 2);
      const int64_t reach = (kernel[d] - 1) * dilations[d] + 1;
      const int64_t after = (out[d] - 1) * strides[d] + reach - size - before[d];
      p.outer.append({before[d], after});
      alike = alike && before[d] >= 0 && size + 2 * before[d] >= reach && (size + 2 * before[d] - reach) / strides[d] + 1 == out[d];
    }
    if (alike) {
      std::fill(p.outer.begin(), p.outer.end(), 0);
    } else {
      std::fill(p.inner.begin(), p.inner.end(), 0);
    }
    return p;
  }
};

}  // namespace tfjs_torch
