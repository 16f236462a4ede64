// Pooling of two and three spatial dimensions, with its gradients.
#include "aten/spatial.h"
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

struct Pool : Spatial {
  Dims kernel;
  explicit Pool(Call& c) : Spatial(c), kernel(c.ints(rank())) {}

  // The gradient as ATen has it. Its shape must be the pool's: libtorch's gradients of three dimensions read past the end of another.
  at::Tensor gradient(const at::Tensor& given, const at::Tensor& padded, const Dims& windowDilations) const {
    at::Tensor dy = toAten(given).to(padded.scalar_type()).contiguous();
    TORCH_CHECK(padded.dim() == dy.dim(), "input: rank ", padded.dim(), " is not dy's, ", dy.dim());
    bool fits = dy.size(0) == padded.size(0) && dy.size(1) == padded.size(1);
    for (int64_t d = 0; d < rank(); ++d) {
      const int64_t free = padded.size(d + 2) - ((kernel[d] - 1) * windowDilations[d] + 1);
      fits = fits && free >= 0 && dy.size(d + 2) == free / strides[d] + 1;
    }
    TORCH_CHECK(fits, "dy: shape ", given.sizes(), " is not that of the pool's result");
    return dy;
  }

  Padding outerPadding(const at::Tensor& image) const { return padding(image, kernel, /*allowInner=*/false); }
};

at::Tensor averages(const at::Tensor& image, const Pool& pool) {
  return pool.rank() == 2 ? at::avg_pool2d(image, pool.kernel, pool.strides) : at::avg_pool3d(image, pool.kernel, pool.strides);
}

std::tuple<at::Tensor, at::Tensor> maxima(const at::Tensor& image, const Pool& pool) {
  const Dims none = pool.zeros();
  return pool.rank() == 2 ? at::max_pool2d_with_indices(image, pool.kernel, pool.strides, none, pool.dilations)
                          : at::max_pool3d_with_indices(image, pool.kernel, pool.strides, none, pool.dilations);
}

// TensorFlow.js's maxima pass over NaN.
at::Tensor comparable(const at::Tensor& image) { return at::nan_to_num(floating(image), -INFINITY, INFINITY, -INFINITY); }

void maxPool(Call& c) {
  const Pool pool(c);
  const at::Tensor image = pool.toAten(comparable(c.x()));
  if (pool.isEmpty()) return c.result(pool.empty(image, image.size(1)));
  const auto [y, index] = maxima(pool.outerPadding(image).apply(image, -INFINITY), pool);
  c.resultAs(pool.fromAten(y), c.x().scalar_type());
}

// Inputs dy, x.
void maxPoolGrad(Call& c) {
  const Pool pool(c);
  const at::Tensor image = pool.toAten(comparable(c.x(1)));
  const Padding padding = pool.outerPadding(image);
  const at::Tensor padded = padding.apply(image, -INFINITY).contiguous();
  const auto [y, index] = maxima(padded, pool);
  const at::Tensor dy = pool.gradient(c.x(0), padded, pool.dilations);
  const Dims none = pool.zeros();
  const at::Tensor dx =
      pool.rank() == 2 ? at::max_pool2d_with_indices_backward(dy, padded, pool.kernel, pool.strides, none, pool.dilations, false, index)
                       : at::max_pool3d_with_indices_backward(dy, padded, pool.kernel, pool.strides, none, pool.dilations, false, index);
  c.result(pool.fromAten(padding.crop(dx)));
}

// Windows at the border average over what lies inside the image.
void avgPool(Call& c) {
  const Pool pool(c);
  const at::Tensor image = pool.toAten(floating(c.x()));
  if (pool.isEmpty()) return c.result(pool.empty(image, image.size(1)));
  const Padding padding = pool.outerPadding(image);
  at::Tensor y = averages(padding.apply(image, 0), pool);
  if (padding.isOuter()) {
    const at::Tensor inside = padding.apply(at::ones_like(image.narrow(0, 0, 1).narrow(1, 0, 1)), 0);
    y = at::div(y, at::clamp_min(averages(inside, pool), 1e-9));  // 0 for windows that lie outside altogether
  }
  c.resultAs(pool.fromAten(y), c.x().scalar_type());
}

// Inputs dy, x. Each dy is spread over the whole window, as TensorFlow.js does.
void avgPoolGrad(Call& c) {
  const Pool pool(c);
  const at::Tensor image = pool.toAten(floating(c.x(1)));
  const Padding padding = pool.outerPadding(image);
  const at::Tensor padded = padding.apply(image, 0).contiguous();
  const at::Tensor dy = pool.gradient(c.x(0), padded, Dims(pool.rank(), 1));
  const Dims none = pool.zeros();
  const at::Tensor dx = pool.rank() == 2 ? at::avg_pool2d_backward(dy, padded, pool.kernel, pool.strides, none, false, true, std::nullopt)
                                         : at::avg_pool3d_backward(dy, padded, pool.kernel, pool.strides, none, false, true, std::nullopt);
  c.result(pool.fromAten(padding.crop(dx)));
}

// Results: maxima and their flat positions (row * width + column) * channels + channel, with the batch if asked.
void maxPoolWithArgmax(Call& c) {
  const Pool pool(c);
  const bool includeBatch = c.flag();
  const at::Tensor image = pool.toAten(comparable(c.x()));
  const Padding padding = pool.outerPadding(image);
  const at::Tensor padded = padding.apply(image, -INFINITY);
  const auto [y, index] = maxima(padded, pool);
  const int64_t channels = image.size(1), height = image.size(2), width = image.size(3);
  const auto count = [&](int64_t n) { return at::arange(n, index.options()); };
  const at::Tensor row = at::sub(at::floor_divide(index, padded.size(3)), pool.before[0]);
  const at::Tensor column = at::sub(at::remainder(index, padded.size(3)), pool.before[1]);
  at::Tensor flat = at::add(at::mul(row, width), column);
  if (includeBatch) flat = at::add(flat, at::mul(count(image.size(0)).reshape({-1, 1, 1, 1}), height * width));
  flat = at::add(at::mul(flat, channels), count(channels).reshape({-1, 1, 1}));
  c.resultAs(pool.fromAten(y), c.x().scalar_type());
  c.result(pool.fromAten(flat));
}

const Operations ops = {
    {"AvgPool(x: real[...]; strides: ints[rank(x) - 2] >= 1, dilations: ints[rank(x) - 2] >= 1, before: ints[rank(x) - 2], out: "
     "ints[rank(x) - 2], channelsLast: bool, kernel: ints[rank(x) - 2] >= 1) -> y",
     avgPool},
    {"AvgPoolGrad(dy: real[...], input: real[...]; strides: ints[rank(dy) - 2] >= 1, dilations: ints[rank(dy) - 2] >= 1, before: "
     "ints[rank(dy) - 2], out: ints[rank(dy) - 2], channelsLast: bool, kernel: ints[rank(dy) - 2] >= 1) -> dx",
     avgPoolGrad},
    {"MaxPool(x: real[...]; strides: ints[rank(x) - 2] >= 1, dilations: ints[rank(x) - 2] >= 1, before: ints[rank(x) - 2], out: "
     "ints[rank(x) - 2], channelsLast: bool, kernel: ints[rank(x) - 2] >= 1) -> y",
     maxPool},
    {"MaxPoolGrad(dy: real[...], input: real[...]; strides: ints[rank(dy) - 2] >= 1, dilations: ints[rank(dy) - 2] >= 1, before: "
     "ints[rank(dy) - 2], out: ints[rank(dy) - 2], channelsLast: bool, kernel: ints[rank(dy) - 2] >= 1) -> dx",
     maxPoolGrad},
    {"MaxPoolWithArgmax(x: real[...]; strides: ints[rank(x) - 2] >= 1, dilations: ints[rank(x) - 2] >= 1, before: ints[rank(x) - 2], out: "
     "ints[rank(x) - 2], channelsLast: bool, kernel: ints[rank(x) - 2] >= 1, includeBatchInIndex: bool) -> y, index: int32",
     maxPoolWithArgmax},
};

}  // namespace

}  // namespace tfjs_torch
