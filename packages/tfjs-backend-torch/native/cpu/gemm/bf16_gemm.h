#pragma once

#include <ATen/ATen.h>

namespace tfjs_torch {

// Products of bfloat16 matrices where they are faster than the library's: by a CPU's matrix units (cpu/gemm/amx/amx_gemm.h), or in half
// precision's arithmetic where it has no such units (cpu/gemm/fp16/fp16_gemm.h). TFJS_TORCH_NARROW_PRODUCTS=library turns them off; half or
// amx asks for one; float32 multiplies float32 copies by the library, as CPUs do whose library has no fast bfloat16 products.
enum class NarrowProducts { kLibrary, kHalf, kAmx, kFloat32 };
NarrowProducts narrowProducts();
inline bool hasNarrowProducts() { return narrowProducts() == NarrowProducts::kHalf || narrowProducts() == NarrowProducts::kAmx; }

// Where Σ of squares of a result go, of the values before they are narrowed: by row and by column.
struct ResultSquares {
  float *rows, *columns;
};

// out [m, n] ← a [m, k]·b [k, n], or out + a·b. a and b are bfloat16, or float32 and narrowed on the way, and contiguous or transposed; out
// is bfloat16 or float32 and its rows are contiguous. On all threads, or inside a parallel region on its own; their number changes no bit.
// `squares` inside a parallel region and of a bfloat16 result alone, where hasResultSquares().
void narrowProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add, const ResultSquares* squares = nullptr);
inline bool hasResultSquares() { return narrowProducts() == NarrowProducts::kAmx; }

// A matrix whose lines, rows or columns, lie `distance` apart.
template <typename T>
struct Lines {
  const T* data;
  int64_t rows, columns, distance;
  bool byRow;  // a line is a row
};
using NarrowLines = Lines<c10::BFloat16>;

// A matrix's panels, packed when it is first multiplied from the left or from the right; whoever changes the matrix resets them.
struct NarrowPanels {
  at::Tensor left, right;
  bool hasLeft = false, hasRight = false;
  void reset() { hasLeft = hasRight = false; }
};

// A result, its rows `distance` apart.
struct NarrowResult {
  void* data;
  int64_t distance;
  bool isFloat, add;
};

// Columns of a product that are computed, from a multiple of kColumnStep on.
inline constexpr int64_t kColumnStep = 128;
struct Columns {
  int64_t begin, end;
};

// Some columns of the same in the calling thread alone, to out's first ones; panels that are there are taken. By half precision's
// arithmetic: with matrix units whoever needs these has code of its own (cpu/gemm/amx/attention.h).
void narrowProduct(const NarrowLines& a, NarrowPanels& aPanels, const NarrowLines& b, NarrowPanels& bPanels, Columns which,
                   const NarrowResult& out);

// Room for so many values in a buffer that is kept.
template <typename T>
T* roomFor(at::Tensor& buffer, int64_t count) {
  const auto bytes = static_cast<int64_t>(count * sizeof(T));
  if (!buffer.defined() || buffer.numel() < bytes) buffer = at::empty({bytes}, at::TensorOptions().dtype(at::kByte));
  return reinterpret_cast<T*>(buffer.mutable_data_ptr());
}

}  // namespace tfjs_torch
