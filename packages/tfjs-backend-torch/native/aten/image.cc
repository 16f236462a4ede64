// Resizing and normalization of [batch, height, width, channels] images.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// Where one output row (or column) takes its value from: in[low] * (1 - fraction) + in[high] * fraction.
struct Taps {
  std::vector<int64_t> low, high;
  std::vector<float> fraction;

  Taps(int64_t in, int64_t out, bool alignCorners, bool halfPixelCenters) {
    const bool align = alignCorners && out > 1;
    const double ratio = static_cast<double>(align ? in - 1 : in) / static_cast<double>(align ? out - 1 : out);
    for (int64_t i = 0; i < out; ++i) {
      const double at = halfPixelCenters ? ratio * (i + 0.5) - 0.5 : ratio * i;
      const auto floor = static_cast<int64_t>(std::max(0.0, std::floor(at)));
      low.push_back(std::min(floor, in - 1));
      high.push_back(std::max<int64_t>(0, std::min(in - 1, static_cast<int64_t>(std::ceil(at)))));
      fraction.push_back(static_cast<float>(at - static_cast<double>(floor)));
    }
  }
};

at::Tensor onDevice(const std::vector<int64_t>& values, const at::Tensor& like) { return at::tensor(values, at::kLong).to(like.device()); }

at::Tensor weights(const Taps& taps, int64_t dim, const at::Tensor& like) {
  Dims shape(like.dim(), 1);
  shape[dim] = static_cast<int64_t>(taps.fraction.size());
  return at::tensor(taps.fraction, at::kFloat).to(like.device()).reshape(shape);
}

at::Tensor interpolate(const at::Tensor& x, int64_t dim, const Taps& taps) {
  const at::Tensor low = x.index_select(dim, onDevice(taps.low, x));
  const at::Tensor high = x.index_select(dim, onDevice(taps.high, x));
  return at::add(low, at::mul(at::sub(high, low), weights(taps, dim, x)));
}

at::Tensor interpolateGrad(const at::Tensor& dy, int64_t dim, int64_t size, const Taps& taps) {
  Dims shape(dy.sizes().begin(), dy.sizes().end());
  shape[dim] = size;
  const at::Tensor share = weights(taps, dim, dy);
  at::Tensor dx = at::zeros(shape, dy.options());
  dx.index_add_(dim, onDevice(taps.low, dy), at::mul(dy, at::sub(at::ones({}, share.options()), share)));
  return dx.index_add_(dim, onDevice(taps.high, dy), at::mul(dy, share));
}

void resizeBilinear(Call& c) {
  const Dims size = c.ints();
  const bool align = c.flag(), half = c.flag();
  const at::Tensor x = c.x().to(at::kFloat);
  const at::Tensor rows = interpolate(x, 1, Taps(x.size(1), size[0], align, half));
  c.result(interpolate(rows, 2, Taps(x.size(2), size[1], align, half)));
}

// Inputs dy, images.
void resizeBilinearGrad(Call& c) {
  const bool align = c.flag();
  const at::Tensor dy = c.x(0).to(at::kFloat);
  const int64_t height = c.x(1).size(1), width = c.x(1).size(2);
  const at::Tensor columns = interpolateGrad(dy, 2, width, Taps(width, dy.size(2), align, false));
  c.result(interpolateGrad(columns, 1, height, Taps(height, dy.size(1), align, false)));
}

std::vector<int64_t> nearest(int64_t in, int64_t out, bool alignCorners, bool halfPixelCenters) {
  const bool align = alignCorners && out > 1;
  const double ratio = static_cast<double>(align ? in - 1 : in) / static_cast<double>(align ? out - 1 : out);
  std::vector<int64_t> from;
  for (int64_t i = 0; i < out; ++i) {
    const double at = ratio * (halfPixelCenters ? i + 0.5 : static_cast<double>(i));
    const double whole = alignCorners ? std::floor(at + 0.5) : std::floor(at);
    from.push_back(std::clamp<int64_t>(static_cast<int64_t>(whole), 0, in - 1));
  }
  return from;
}

void resizeNearest(Call& c) {
  const Dims size = c.ints();
  const bool align = c.flag(), half = c.flag();
  const at::Tensor& x = c.x();
  const at::Tensor rows = x.index_select(1, onDevice(nearest(x.size(1), size[0], align, half), x));
  c.result(rows.index_select(2, onDevice(nearest(x.size(2), size[1], align, half), x)));
}

// Inputs dy, images.
void resizeNearestGrad(Call& c) {
  const bool align = c.flag();
  const at::Tensor& dy = c.x(0);
  const int64_t height = c.x(1).size(1), width = c.x(1).size(2);
  const at::Tensor columns = at::zeros({dy.size(0), dy.size(1), width, dy.size(3)}, dy.options())
                                 .index_add_(2, onDevice(nearest(width, dy.size(2), align, false), dy), dy);
  c.result(at::zeros({dy.size(0), height, width, dy.size(3)}, dy.options())
               .index_add_(1, onDevice(nearest(height, dy.size(1), align, false), dy), columns));
}

// Inputs x, mean, variance, [offset], [scale].
void batchNorm(Call& c) {
  const double epsilon = c.number();
  at::Tensor factor = at::rsqrt(at::add(c.x(2), epsilon));
  if (c.has(4)) factor = at::mul(factor, c.x(4));
  const at::Tensor y = at::mul(at::sub(c.x(0), c.x(1)), factor);
  c.result(c.has(3) ? at::add(y, c.x(3)) : y);
}

// Sum over the channels within `radius` of each.
at::Tensor windowSum(const at::Tensor& x, int64_t radius) {
  const int64_t channels = x.size(-1);
  const int64_t reach = std::min(radius, channels - 1);
  const at::Tensor plane = x.reshape({1, 1, -1, channels});
  return at::avg_pool2d(plane, {1, 2 * reach + 1}, {1, 1}, {0, reach}, false, true, 1).reshape(x.sizes());
}

struct Lrn {
  int64_t radius;
  double bias, alpha, beta;
  explicit Lrn(Call& c) : radius(c.integer()), bias(c.number()), alpha(c.number()), beta(c.number()) {}
  at::Tensor norm(const at::Tensor& x) const { return at::add(at::mul(windowSum(at::square(x), radius), alpha), bias); }
};

void lrn(Call& c) {
  const Lrn p(c);
  c.result(at::mul(c.x(), at::pow(p.norm(c.x()), -p.beta)));
}

// Inputs x, y, dy.
void lrnGrad(Call& c) {
  const Lrn p(c);
  const at::Tensor &x = c.x(0), &y = c.x(1), &dy = c.x(2);
  const at::Tensor norm = p.norm(x);
  const at::Tensor others = windowSum(at::div(at::mul(dy, y), norm), p.radius);
  c.result(at::sub(at::mul(dy, at::pow(norm, -p.beta)), at::mul(at::mul(x, others), 2 * p.alpha * p.beta)));
}

const Operations ops = {
    {"FusedBatchNorm(x: real[~S], mean: real[~S], variance: real[~S], offset?: real[~S], scale?: real[~S]; varianceEpsilon: number) -> y: "
     "real[~S]",
     batchNorm},
    {"LRN(x: float[B, H, W, C]; depthRadius: int >= 0, bias: number, alpha: number, beta: number) -> y: float[B, H, W, C] where C >= 1",
     lrn},
    {"LRNGrad(x: float[B, H, W, C], y: float[B, H, W, C], dy: float[B, H, W, C]; depthRadius: int >= 0, bias: number, alpha: number, beta: "
     "number) -> dx: float[B, H, W, C] where C >= 1",
     lrnGrad},
    {"ResizeBilinear(images: real[B, H, W, C]; size: ints[2] >= 0, alignCorners: bool, halfPixelCenters: bool) -> y where H >= 1, W >= 1",
     resizeBilinear},
    {"ResizeBilinearGrad(dy: real[B, P, Q, C], images: real[B, H, W, C]; alignCorners: bool) -> dx: real[B, H, W, C] where H >= 1, W >= 1",
     resizeBilinearGrad},
    {"ResizeNearestNeighbor(images: real[B, H, W, C]; size: ints[2] >= 0, alignCorners: bool, halfPixelCenters: bool) -> y where H >= 1, W "
     ">= 1",
     resizeNearest},
    {"ResizeNearestNeighborGrad(dy: real[B, P, Q, C], images: real[B, H, W, C]; alignCorners: bool) -> dx: real[B, H, W, C] where H >= 1, "
     "W >= 1",
     resizeNearestGrad},
};

}  // namespace

}  // namespace tfjs_torch
