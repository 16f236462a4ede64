#pragma once

#include <ATen/ATen.h>

#include "optim/square_sums.h"
#include "runtime/call.h"

// What all optimizers read of a call: rates [R] and a guard, then each parameter's value, gradient and moments.
namespace tfjs_torch {

// What is changed in place must own its memory: a view or a copy that shares it would change with it.
inline at::Tensor owned(const at::Tensor& x) {
  TORCH_CHECK(x.scalar_type() == at::kFloat, "parameters and moments must be float32");
  at::Tensor own = x;
  if (!x.is_contiguous() || x.storage().use_count() > 1) {
    own.set_(x.clone(at::MemoryFormat::Contiguous));
    setSquareSums(own, nullptr);
  }
  return own;
}

// One parameter, taken as a stack of matrices. All but the gradient are float32 and changed in place.
struct OptimizedParameter {
  at::Tensor value, gradient;
  std::vector<at::Tensor> moments;
  int64_t stack, rows, columns;
};

struct OptimizerCall {
  // Float32 [R]; nothing changes where a value of `guard` is not finite. Both lie with the parameters: a recorded step reads them anew.
  at::Tensor rates, guard;
  std::vector<OptimizedParameter> parameters;
};

// Parameters of the call: stack, rows, columns and how many moments for each parameter.
inline OptimizerCall optimizerCall(Call& c, int64_t rates) {
  OptimizerCall call{c.x(0).contiguous(), c.x(1).contiguous(), {}};
  TORCH_CHECK(call.rates.scalar_type() == at::kFloat && call.rates.numel() == rates, "rates must be float32 [", rates, "]");
  TORCH_CHECK(call.guard.scalar_type() == at::kFloat, "guard must be float32");
  for (size_t at = 2; at < c.count();) {
    OptimizedParameter p;
    p.stack = c.integer();
    p.rows = c.integer();
    p.columns = c.integer();
    const int64_t moments = c.integer();
    p.value = owned(c.x(at++));
    p.gradient = c.x(at++);
    const int64_t size = p.stack * p.rows * p.columns;
    TORCH_CHECK(p.value.numel() == size && p.gradient.numel() == size, "a parameter or gradient has not ", size, " entries");
    for (int64_t m = 0; m < moments; ++m) p.moments.push_back(owned(c.x(at++)));
    call.parameters.push_back(std::move(p));
  }
  return call;
}

// The same, of an optimizer whose moments have the parameter's shape.
inline OptimizerCall optimizerCall(Call& c, int64_t rates, size_t moments) {
  OptimizerCall call = optimizerCall(c, rates);
  for (const OptimizedParameter& p : call.parameters) {
    TORCH_CHECK(p.moments.size() == moments, moments, " moments expected, not ", p.moments.size());
    for (const at::Tensor& moment : p.moments) TORCH_CHECK(moment.numel() == p.value.numel(), "moments of another shape");
    // The value changes without its sums of squares.
    setSquareSums(p.value, nullptr);
  }
  return call;
}

}  // namespace tfjs_torch
