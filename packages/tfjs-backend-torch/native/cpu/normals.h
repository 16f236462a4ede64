#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace tfjs_torch {

// A tensor of normal numbers times a factor, drawn one after another from a stream of sfc32 by Box and Muller: what mswitch's
// src/ops/random/normals.ts draws, to the bit.
struct NormalDraw {
  uint32_t state[4];  // of sfc32, at its start
  int64_t count;
  double factor;
  bool isTruncated;  // numbers beyond 2 are drawn again
};

// √(−2 ln x) · cos(angle) as JavaScript's Math computes it.
using ExactNormal = std::function<double(double x, double angle)>;

// One float32 tensor [count] a draw, on the CPU; on all threads, a draw in one. Where the last bits of JavaScript's logarithm and cosine
// decide which float32 a number is, or whether it is drawn again, `exact` is asked, in the calling thread: for about one in four million.
std::vector<at::Tensor> drawNormals(const std::vector<NormalDraw>& draws, const ExactNormal& exact);

}  // namespace tfjs_torch
