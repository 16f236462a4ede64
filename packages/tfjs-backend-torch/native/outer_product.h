#pragma once

#include <cstdint>

namespace tfjs_torch {

// Whether this CPU and these sizes have the product below: AVX-512, and few enough terms that writing the result counts.
bool hasOuterProduct(int64_t terms, int64_t rows, int64_t columns);

// c [rows, columns] = Aᵀ·B of A [terms, rows] and B [terms, columns], written past the caches: it is large and not read soon. On
// the way Σ of squares by row and by column; returns their total.
double outerProduct(const float* a, const float* b, int64_t terms, int64_t rows, int64_t columns, float* c, float* rowSquares,
                    float* columnSquares);

}  // namespace tfjs_torch
