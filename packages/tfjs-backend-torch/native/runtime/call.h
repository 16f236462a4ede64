#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "runtime/tensor_table.h"

namespace tfjs_torch {

using Dims = c10::SmallVector<int64_t, 6>;

// TensorFlow.js's dtypes as they travel in the call buffers; src/native.ts has the same numbers.
enum DTypeCode : int { kFloat32 = 0, kInt32 = 1, kBoolean = 2, kComplex64 = 3 };

at::ScalarType scalarType(int code);
int dtypeCode(at::ScalarType type);

// One kernel call, decoded from the argument buffer that TypeScript wrote (src/native.ts):
//   args    = [length, device, n, n x (handle, rank, dims...), attributes...], handle -1 for an input that is left out
//   results = [n, n x (handle, dtype, flags, rank, dims...)]
// Plain numbers in shared memory instead of Node-API values: one Node-API call per kernel whatever its arguments.
class Call {
 public:
  Call(TensorTable& table, const double* args, size_t capacity);

  size_t count() const { return inputs_.size(); }
  // Inputs by their place in the signature; one that is left out is undefined.
  const at::Tensor& x(size_t i = 0) const { return inputs_.at(i); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i].defined(); }
  void setInput(size_t i, at::Tensor x) { inputs_.at(i) = std::move(x); }
  const std::vector<at::Tensor>& inputs() const { return inputs_; }
  at::Device device() const { return device_; }

  // Attributes are read in the order of the signature, against which the binding has checked them.
  const double* attributesBegin() const { return at_; }
  const double* attributesEnd() const { return end_; }
  double number();
  int64_t integer() { return static_cast<int64_t>(number()); }
  bool flag() { return number() != 0; }
  Dims ints();
  // A list of a known length; another is an error, not an out-of-bounds read.
  Dims ints(int64_t length);
  std::string text();
  at::ScalarType dtype() { return scalarType(static_cast<int>(number())); }
  at::TensorOptions options(at::ScalarType type) const { return at::TensorOptions().dtype(type).device(device_); }

  // Hands a tensor to JavaScript. Dtypes that TensorFlow.js does not have are brought to those it has.
  void result(at::Tensor tensor);
  // A result whose dtype is the input's, whatever was computed in between.
  void resultAs(const at::Tensor& tensor, at::ScalarType type) { result(tensor.to(type)); }
  const std::vector<at::Tensor>& results() const { return results_; }

  // "float32[2,3]" for error messages.
  static std::string describe(const at::Tensor& x);

 private:
  const double* at_;
  const double* end_;
  at::Device device_ = at::kCPU;
  std::vector<at::Tensor> inputs_;
  std::vector<at::Tensor> results_;
};

// Floating tensors as they are, others as float32.
inline at::Tensor floating(const at::Tensor& x) { return x.is_floating_point() || x.is_complex() ? x : x.to(at::kFloat); }

// Activations of TensorFlow.js's fused kernels; src/kernels/fused.ts has the same numbers.
at::Tensor activate(const at::Tensor& x, int64_t activation, const at::Tensor& preluWeights, double leakyreluAlpha);

}  // namespace tfjs_torch
