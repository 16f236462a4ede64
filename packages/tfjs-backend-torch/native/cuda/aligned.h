#pragma once

#include <ATen/ATen.h>

namespace tfjs_torch {

// x in order and on 16 bytes, as kernels read it: itself, or a copy.
inline at::Tensor aligned(const at::Tensor& x) {
  const at::Tensor whole = x.contiguous();
  return reinterpret_cast<uintptr_t>(whole.const_data_ptr()) % 16 == 0 ? whole : whole.clone();
}

}  // namespace tfjs_torch
