#pragma once

#include <type_traits>

#include "cpu/gemm/bf16_gemm.h"

namespace tfjs_torch::amx {

// Products of bfloat16 matrices by a CPU's matrix units (AMX): products of two bfloat16 are exact, their sums float32, subnormal numbers 0.
bool isAvailable();

// The tiles of this thread, set up while one of these lives; what the library had set stands again thereafter. Products have their own,
// which costs nothing within another.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;

 private:
  alignas(64) uint8_t before_[64];
};

// A matrix of bfloat16, or of float32 that is narrowed when it is packed.
struct Operand {
  const void* data;
  int64_t rows, columns, distance;
  bool byRow, isFloat;
  template <typename T>
  Operand(const Lines<T>& x)  // NOLINT: the same matrix
      : data(x.data), rows(x.rows), columns(x.columns), distance(x.distance), byRow(x.byRow), isFloat(std::is_same_v<T, float>) {}
};

// out ← a·b, or out + a·b, on all threads or inside a parallel region on its own.
void multiply(const Operand& a, const Operand& b, const NarrowResult& out, const ResultSquares* squares);

}  // namespace tfjs_torch::amx
