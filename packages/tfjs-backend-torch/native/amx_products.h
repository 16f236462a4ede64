#pragma once

#include "narrow_products.h"

namespace tfjs_torch::amx {

// Products of bfloat16 matrices by a CPU's matrix units (AMX): products of two bfloat16 are exact, their sums float32, subnormal numbers 0.
bool isAvailable();

// out ← a·b, or out + a·b, on all threads or inside a parallel region on its own.
void multiply(const NarrowLines& a, const NarrowLines& b, const NarrowResult& out);

// The same in the calling thread alone; panels that are there are taken.
void multiply(const NarrowLines& a, NarrowPanels& aPanels, const NarrowLines& b, NarrowPanels& bPanels, const NarrowResult& out);

}  // namespace tfjs_torch::amx
