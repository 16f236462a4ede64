// Convolutions of two and three spatial dimensions, plain and depthwise, with their gradients.
//
// Layouts: TensorFlow.js has N..C (or NC..) images and ..IO filters, ATen NC.. images and OI.. filters. Permuted views carry
// one into the other; oneDNN and cuDNN take them as "channels last" without a copy.
#include "aten/spatial.h"
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

struct Convolution : Spatial {
  bool depthwise;
  explicit Convolution(Call& c) : Spatial(c), depthwise(c.flag()) {}

  int64_t groups(const at::Tensor& image) const { return depthwise ? image.size(1) : 1; }

  // [..., I, O] to [O, I, ...]; depthwise [..., I, M] to [I * M, 1, ...].
  at::Tensor filterToAten(const at::Tensor& filter) const {
    const int64_t n = rank();
    Dims order = {n + 1, n};
    if (depthwise) order = {n, n + 1};
    for (int64_t d = 0; d < n; ++d) order.push_back(d);
    const at::Tensor y = filter.permute(order);
    if (!depthwise) return y;
    Dims shape(y.sizes().begin(), y.sizes().end());
    shape[0] = shape[0] * shape[1];
    shape[1] = 1;
    return y.reshape(shape);
  }

  at::Tensor filterFromAten(const at::Tensor& filter, at::IntArrayRef shape) const {
    const int64_t n = rank();
    Dims order;
    for (int64_t d = 0; d < n; ++d) order.push_back(d + 2);
    if (!depthwise) {
      order.append({1, 0});
      return filter.permute(order);
    }
    Dims split = {shape[n], shape[n + 1]};
    split.append(filter.sizes().begin() + 2, filter.sizes().end());
    order.append({0, 1});
    return filter.reshape(split).permute(order);
  }

  // libtorch's gradients read past the end of a `dy` or filter that is not the convolution's. Image and dy are ATen's, the filter is not.
  void requireFit(const at::Tensor& image, at::IntArrayRef filter, const at::Tensor& dy) const {
    const int64_t n = rank(), channels = image.size(1);
    TORCH_CHECK(filter[n] == channels, "filter: shape ", filter, " is not of an image of ", channels, " channels");
    bool fits = dy.dim() == n + 2 && dy.size(0) == image.size(0) && dy.size(1) == (depthwise ? channels * filter[n + 1] : filter[n + 1]);
    for (int64_t d = 0; d < n; ++d) fits = fits && dy.size(d + 2) == out[d];
    TORCH_CHECK(fits, "dy: shape ", fromAten(dy).sizes(), " is not that of the convolution's result");
  }

  Dims kernelOf(const at::Tensor& atenFilter) const { return Dims(atenFilter.sizes().begin() + 2, atenFilter.sizes().end()); }
};

// Brings int32 and mixed-width operands to one floating dtype.
void unify(at::Tensor& a, at::Tensor& b) {
  a = floating(a);
  b = floating(b);
  if (a.scalar_type() != b.scalar_type()) {
    a = a.to(at::kBFloat16);
    b = b.to(at::kBFloat16);
  }
}

at::Tensor forward(const Convolution& conv, at::Tensor x, at::Tensor filter) {
  unify(x, filter);
  const at::Tensor weights = conv.filterToAten(filter);
  const at::Tensor image = conv.toAten(x);
  if (conv.isEmpty()) return conv.empty(image, weights.size(0));
  const Padding padding = conv.padding(image, conv.kernelOf(weights));
  const Dims none = conv.zeros();
  return conv.fromAten(
      at::convolution(padding.apply(image, 0), weights, {}, conv.strides, padding.inner, conv.dilations, false, none, conv.groups(image)));
}

void convolution(Call& c) {
  const Convolution conv(c);
  const at::Tensor y = forward(conv, c.x(0), c.x(1));
  c.result(c.x(0).is_floating_point() ? y : y.to(c.x(0).scalar_type()));
}

// Inputs x, filter, [bias], [prelu weights].
void fusedConvolution(Call& c) {
  const Convolution conv(c);
  const int64_t activation = c.integer();
  const double alpha = c.number();
  // Per-channel vectors of an NC.. image stand before its spatial dimensions.
  const auto alongChannels = [&](const at::Tensor& v) {
    if (conv.channelsLast || v.dim() != 1 || v.size(0) == 1) return v;
    Dims shape(conv.rank() + 1, 1);
    shape[0] = v.size(0);
    return v.reshape(shape);
  };
  at::Tensor y = forward(conv, c.x(0), c.x(1));
  if (c.has(2)) y = at::add(y, alongChannels(c.x(2)));
  c.result(activate(y, activation, c.has(3) ? alongChannels(c.x(3)) : at::Tensor(), alpha));
}

// Inputs dy, filter; parameters ..., shape of x.
void gradOfInput(Call& c) {
  const Convolution conv(c);
  const Dims shape = c.ints(conv.rank() + 2);
  at::Tensor dy = c.x(0), filter = c.x(1);
  unify(dy, filter);
  const at::Tensor weights = conv.filterToAten(filter);
  const at::Tensor image = conv.toAten(at::empty({1}, dy.options()).expand(shape));
  const Padding padding = conv.padding(image, conv.kernelOf(weights));
  const Dims none = conv.zeros();
  const Dims padded = padding.shape(image);
  // TensorFlow.js lets dy be larger than the convolution's output and passes over the rest.
  at::Tensor gradient = conv.toAten(dy);
  for (int64_t d = 0; d < conv.rank(); ++d) {
    if (gradient.size(d + 2) > conv.out[d]) gradient = gradient.narrow(d + 2, 0, conv.out[d]);
  }
  conv.requireFit(image, filter.sizes(), gradient);
  const at::Tensor dx =
      std::get<0>(at::convolution_backward(gradient, at::empty({1}, dy.options()).expand(padded), weights, std::nullopt, conv.strides,
                                           padding.inner, conv.dilations, false, none, conv.groups(image), {true, false, false}));
  c.result(conv.fromAten(padding.crop(dx)));
}

// Inputs x, dy; parameters ..., shape of the filter.
void gradOfFilter(Call& c) {
  const Convolution conv(c);
  const Dims shape = c.ints(conv.rank() + 2);
  at::Tensor x = c.x(0), dy = c.x(1);
  unify(x, dy);
  const at::Tensor image = conv.toAten(x);
  const at::Tensor weights = conv.filterToAten(at::empty({1}, x.options()).expand(shape));
  const Padding padding = conv.padding(image, conv.kernelOf(weights));
  const Dims none = conv.zeros();
  const at::Tensor gradient = conv.toAten(dy);
  conv.requireFit(image, shape, gradient);
  const at::Tensor dw =
      std::get<1>(at::convolution_backward(gradient, padding.apply(image, 0), weights, std::nullopt, conv.strides, padding.inner,
                                           conv.dilations, false, none, conv.groups(image), {false, true, false}));
  c.result(conv.filterFromAten(dw, shape));
}

const Operations ops = {
    {"Conv(x: real[...], filter: real[...]; strides: ints[rank(x) - 2] >= 1, dilations: ints[rank(x) - 2] >= 1, before: ints[rank(x) - 2], "
     "out: ints[rank(x) - 2], channelsLast: bool, depthwise: bool) -> y",
     convolution},
    {"ConvBackpropFilter(x: real[...], dy: real[...]; strides: ints[rank(x) - 2] >= 1, dilations: ints[rank(x) - 2] >= 1, before: "
     "ints[rank(x) - 2], out: ints[rank(x) - 2], channelsLast: bool, depthwise: bool, filterShape: ints[rank(x)] >= 0) -> dFilter",
     gradOfFilter},
    {"ConvBackpropInput(dy: real[...], filter: real[...]; strides: ints[rank(dy) - 2] >= 1, dilations: ints[rank(dy) - 2] >= 1, before: "
     "ints[rank(dy) - 2], out: ints[rank(dy) - 2], channelsLast: bool, depthwise: bool, inputShape: ints[rank(dy)] >= 0) -> dx",
     gradOfInput},
    {"FusedConv(x: real[...], filter: real[...], bias?: real[...], preluActivationWeights?: real[...]; strides: ints[rank(x) - 2] >= 1, "
     "dilations: ints[rank(x) - 2] >= 1, before: ints[rank(x) - 2], out: ints[rank(x) - 2], channelsLast: bool, depthwise: bool, "
     "activation: {linear, relu, relu6, elu, sigmoid, prelu, leakyrelu}, leakyreluAlpha: number) -> y",
     fusedConvolution},
};

}  // namespace

}  // namespace tfjs_torch
