#pragma once

#include "cpu/gemm/own_gemm.h"

namespace tfjs_torch::half {

// Products of bfloat16 matrices in half precision's arithmetic, for CPUs that have it (AVX512-FP16: twice float32's rate) and no matrix
// units (AMX), or do not show them, as many virtual machines.
//
// Panels of the operands, 12 rows or 128 columns, are scaled by a power of two so that the largest finite value is in [8, 16): exact but
// for values below 2^-17 of it, whose error is at most 2^-28 of it. Half precision holds sums of 32 terms and sums of four of these,
// float32 the rest. For random operands the error is 0.0009 of the result, half of what rounding it to bfloat16 adds, and for equal ones,
// which round the same way each time, at most 0.004, what that can add.
bool isAvailable();

// out ← a·b, or out + a·b, on all threads or inside a parallel region on its own.
void multiply(const Bfloat16Lines& a, const Bfloat16Lines& b, const Bfloat16Result& out);

// Some columns of the same in the calling thread alone, to out's first ones; panels that are there are taken.
void multiply(const Bfloat16Lines& a, Bfloat16Panels& aPanels, const Bfloat16Lines& b, Bfloat16Panels& bPanels, Columns which,
              const Bfloat16Result& out);

}  // namespace tfjs_torch::half
