#pragma once

#include <ATen/ATen.h>

namespace tfjs_torch {

namespace packed {
template <typename T>
struct Kernels;
}

// Who multiplies matrices. The library (oneDNN for bfloat16, its BLAS for float32), or kernels of our own: by AMX, AVX512-BF16 or AVX-512
// (cpu/gemm/packed/), in half precision's arithmetic (cpu/gemm/fp16/). kFloat32 multiplies float32 copies of bfloat16 matrices.
enum class Bf16Gemm { kLibrary, kFloat32, kFp16, kAmx, kAvx512 };
enum class Float32Gemm { kLibrary, kAvx512 };

// What is chosen: by TFJS_TORCH_GEMM (cpu/gemm/choice.h), else by what a measurement found and set, else by the CPU's features.
Bf16Gemm bf16Gemm();
Float32Gemm float32Gemm();

// The chosen kernels of cpu/gemm/packed/, or null.
template <typename T>
const packed::Kernels<T>* packedKernels();
template <>
const packed::Kernels<c10::BFloat16>* packedKernels();
template <>
const packed::Kernels<float>* packedKernels();

inline bool isPacked(at::ScalarType type) {
  return type == at::kBFloat16 ? bf16Gemm() == Bf16Gemm::kAmx || bf16Gemm() == Bf16Gemm::kAvx512
                               : type == at::kFloat && float32Gemm() == Float32Gemm::kAvx512;
}
// Whether matrices of this type are multiplied by kernels of our own.
inline bool hasOwnGemm(at::ScalarType type) { return isPacked(type) || (type == at::kBFloat16 && bf16Gemm() == Bf16Gemm::kFp16); }

// Where Σ of squares of a result go, of the values before they are rounded to bfloat16: by row and by column.
struct ResultSquares {
  float *rows, *columns;
};

// out [m, n] ← a [m, k]·b [k, n], or out + a·b, by our own kernels for a's type (hasOwnGemm). b is of a's type, or of another and converted
// on the way; both are contiguous or transposed. out is bfloat16 or float32 and its rows are contiguous. On all threads, or inside a
// parallel region on its own; their number changes no bit. `squares` where isPacked, inside a
// parallel region.
void ownGemm(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add, const ResultSquares* squares = nullptr);

// A matrix whose lines, rows or columns, lie `distance` apart.
template <typename T>
struct Lines {
  const T* data;
  int64_t rows, columns, distance;
  bool byRow;  // a line is a row
};
using Bfloat16Lines = Lines<c10::BFloat16>;

// A matrix's panels, packed when it is first multiplied from the left or from the right; whoever changes the matrix resets them.
struct Bfloat16Panels {
  at::Tensor left, right;
  bool hasLeft = false, hasRight = false;
  void reset() { hasLeft = hasRight = false; }
};

// A result, its rows `distance` apart.
struct Bfloat16Result {
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
// arithmetic: for others whoever needs these has code of its own (cpu/gemm/packed/attention_heads.h).
void fp16Gemm(const Bfloat16Lines& a, Bfloat16Panels& aPanels, const Bfloat16Lines& b, Bfloat16Panels& bPanels, Columns which,
              const Bfloat16Result& out);

// Room for so many values in a buffer that is kept.
template <typename T>
T* roomFor(at::Tensor& buffer, int64_t count) {
  const auto bytes = static_cast<int64_t>(count * sizeof(T));
  if (!buffer.defined() || buffer.numel() < bytes) buffer = at::empty({bytes}, at::TensorOptions().dtype(at::kByte));
  return reinterpret_cast<T*>(buffer.mutable_data_ptr());
}

}  // namespace tfjs_torch
