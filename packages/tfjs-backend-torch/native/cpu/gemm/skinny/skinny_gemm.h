#pragma once

#include <cstdint>

namespace tfjs_torch {

// Products of few rows (tokens of an expert) with a matrix that comes from memory or goes there, float32: bound by the memory, not by
// the arithmetic. Matrices are contiguous.

// Whether this CPU has these products, for so many rows and a matrix of these sides.
bool hasFewRows(int64_t rows, int64_t side, int64_t otherSide);

// y [n, outputs] = x [n, inputs]·Wᵀ of W [outputs, inputs].
void fewRowsTimesTransposed(const float* x, const float* w, int64_t n, int64_t outputs, int64_t inputs, float* y);

// y [n, outputs] (+)= x [n, inputs]·W of W [inputs, outputs].
void fewRowsTimes(const float* x, const float* w, int64_t n, int64_t inputs, int64_t outputs, bool add, float* y);

// A matrix of float32 or of bfloat16.
struct Matrix {
  void* data;
  bool isBfloat16;
};

// c [rows, columns] = Aᵀ·B of A [n, rows] and B [n, columns], written past the caches: it is large and not read
// soon. On the way Σ of squares by row and by column, of the values before they are rounded to bfloat16; returns their total.
double outerProduct(const float* a, const float* b, int64_t n, int64_t rows, int64_t columns, Matrix c, float* rowSquares,
                    float* columnSquares);

}  // namespace tfjs_torch
