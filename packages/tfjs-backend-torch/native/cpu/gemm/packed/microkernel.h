#pragma once

// What a microkernel is given. One is a struct U of
//   Element                                        what panels hold
//   Scope                                          stands while a thread multiplies
//   multiply<leftLoads, rightLoads>(left, right, blocks, rows, add, sums, meanwhile)
//     sums [32, 32] ← left·right over so many blocks of terms, or sums + that, of which `rows` count; `meanwhile` is called about once a
//     block, where it holds nothing up.

#include "cpu/gemm/packed/panels.h"

#ifdef TFJS_TORCH_PACKED

namespace tfjs_torch::packed {

// How a panel is loaded by AMX: kept in the first cache, or past it, where it would only push out what is read again.
enum class Loads { kKept, kPast };

// Sums [32, 32], their rows so many bytes apart.
struct Sums {
  float* data;
  int64_t row;
};

}  // namespace tfjs_torch::packed

#endif
