#pragma once

#include <ATen/ATen.h>

#include "optim/square_sums.h"
#include "runtime/call.h"
#include "runtime/graph.h"

// What all optimizers read of a call: rates [R] and a guard, then each parameter's value, gradient and moments.
namespace tfjs_torch {

// What is changed in place must own its memory: a view or a copy that shares it would change with it.
inline at::Tensor owned(const at::Tensor& x) {
  TORCH_CHECK(x.scalar_type() == at::kFloat, "parameters: values and moments must be float32");
  at::Tensor own = x;
  if (!x.is_contiguous() || x.storage().use_count() > 1) {
    // A graph would copy the values of now with every replay.
    TORCH_CHECK(!isRecording(), "a parameter or moment shares its memory: it cannot be updated in a recorded step");
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

// The call's next attribute is the layout: stack, rows, columns and how many moments for each parameter.
inline OptimizerCall optimizerCall(Call& c) {
  OptimizerCall call{c.x(0).contiguous(), c.x(1).contiguous(), {}};
  const Dims layout = c.ints();
  TORCH_CHECK(layout.size() % 4 == 0, "layout: four numbers for each parameter expected");
  size_t at = 2;
  const auto next = [&] {
    TORCH_CHECK(at < c.count(), "parameters: fewer tensors than the layout says");
    return c.x(at++);
  };
  for (size_t i = 0; i < layout.size(); i += 4) {
    OptimizedParameter p;
    p.stack = layout[i];
    p.rows = layout[i + 1];
    p.columns = layout[i + 2];
    const int64_t moments = layout[i + 3];
    int64_t size = 0;
    TORCH_CHECK(!__builtin_mul_overflow(p.stack * p.rows, p.columns, &size), "layout: a parameter of too many entries");
    p.value = owned(next());
    p.gradient = next();
    TORCH_CHECK(p.value.numel() == size && p.gradient.numel() == size, "parameters: a value or gradient has not the ", size,
                " entries that the layout says");
    TORCH_CHECK(moments <= 2, "layout: ", moments, " moments of a parameter");
    for (int64_t m = 0; m < moments; ++m) p.moments.push_back(owned(next()));
    call.parameters.push_back(std::move(p));
  }
  TORCH_CHECK(at == c.count(), "parameters: more tensors than the layout says");
  return call;
}

// The same, of an optimizer whose moments have the parameter's shape.
inline OptimizerCall optimizerCall(Call& c, size_t moments) {
  OptimizerCall call = optimizerCall(c);
  for (const OptimizedParameter& p : call.parameters) {
    TORCH_CHECK(p.moments.size() == moments, "layout: ", moments, " moments expected, not ", p.moments.size());
    for (const at::Tensor& moment : p.moments)
      TORCH_CHECK(moment.numel() == p.value.numel(), "parameters: a moment has another shape than its value");
    // The value changes without its sums of squares.
    setSquareSums(p.value, nullptr);
  }
  return call;
}

}  // namespace tfjs_torch
