#pragma once

#include <ATen/ATen.h>

namespace tfjs_torch {

// Products of bfloat16 matrices in half precision's arithmetic, for CPUs that have it (AVX512-FP16: twice float32's rate) and no matrix
// units (AMX), or do not show them, as many virtual machines.
//
// Panels of the operands, 12 rows or 128 columns, are scaled by a power of two so that the largest finite value is in [8, 16): exact but for
// values below 2^-17 of it, whose error is at most 2^-28 of it. Half precision holds sums of 32 terms and sums of four of these, float32 the
// rest. For random operands the error is 0.0009 of the result, half of what rounding it to bfloat16 adds, and for equal ones, which round the same
// way each time, at most 0.004, what that can add. The number of threads changes nothing.
// TFJS_TORCH_HALF_PRODUCTS=0 turns it off.
bool hasHalfProducts();

// out [m, n] ← a [m, k]·b [k, n], or out + a·b. a and b are bfloat16 and contiguous or transposed; out is bfloat16 or float32 and its rows
// are contiguous. On all threads, or inside a parallel region on its own.
void halfProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add);

// A matrix whose lines, rows or columns, lie `distance` apart.
template <typename T>
struct Lines {
  const T* data;
  int64_t rows, columns, distance;
  bool byRow;  // a line is a row
};
using NarrowLines = Lines<c10::BFloat16>;

// A matrix's panels, packed when it is first multiplied from the left or from the right; whoever changes the matrix resets them.
struct HalfPanels {
  at::Tensor left, right;
  bool hasLeft = false, hasRight = false;
  void reset() { hasLeft = hasRight = false; }
};

// out [a.rows, b.columns], its rows `distance` apart.
struct HalfResult {
  void* data;
  int64_t distance;
  bool isFloat, add;
};

// The same in the calling thread alone; panels that are there are taken.
void halfProduct(const NarrowLines& a, HalfPanels& aPanels, const NarrowLines& b, HalfPanels& bPanels, const HalfResult& out);

}  // namespace tfjs_torch
