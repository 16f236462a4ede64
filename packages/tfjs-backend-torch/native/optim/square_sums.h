#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

namespace tfjs_torch {

// Σ of squares that whoever wrote a tensor's values had at hand, so that the optimizer need not read them again. They go with
// the tensor object, not with its memory: a tensor computed from it has none. Whoever changes values in place must set them anew.
struct SquareSums final : c10::BackendMeta {
  // Of each matrix of a stack; negative where unknown.
  std::vector<double> total;
  // [stack, rows] and [stack, columns], or empty.
  std::vector<float> rows, columns;
};

// nullptr: unknown.
inline SquareSums* squareSums(const at::Tensor& x) { return dynamic_cast<SquareSums*>(x.unsafeGetTensorImpl()->get_backend_meta()); }

inline void setSquareSums(const at::Tensor& x, c10::intrusive_ptr<SquareSums> sums) {
  x.unsafeGetTensorImpl()->set_backend_meta(std::move(sums));
}

}  // namespace tfjs_torch
