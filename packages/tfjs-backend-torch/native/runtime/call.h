#pragma once

#include <ATen/ATen.h>

#include <map>
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
//   args    = [length, device, n, n x (handle, rank, dims...), parameters...]
//   results = [n, n x (handle, dtype, flags, rank, dims...)]
// Plain numbers in shared memory instead of Node-API values: one Node-API call per kernel whatever its arguments.
class Call {
 public:
  Call(TensorTable& table, const double* args, size_t capacity);

  size_t count() const { return inputs_.size(); }
  const at::Tensor& x(size_t i = 0) const { return inputs_.at(i); }
  const std::vector<at::Tensor>& inputs() const { return inputs_; }
  at::Device device() const { return device_; }

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

  // "float32[2,3], int32[4]" for error messages.
  std::string describeInputs() const;

 private:
  const double* at_;
  const double* end_;
  at::Device device_ = at::kCPU;
  std::vector<at::Tensor> inputs_;
  std::vector<at::Tensor> results_;
};

using Op = void (*)(Call&);
using OpTable = std::vector<std::pair<std::string, Op>>;

void addElementwiseOps(OpTable& ops);
void addComplexOps(OpTable& ops);
void addReductionOps(OpTable& ops);
void addMatmulOps(OpTable& ops);
void addShapeOps(OpTable& ops);
void addIndexOps(OpTable& ops);
void addConvolutionOps(OpTable& ops);
void addPoolingOps(OpTable& ops);
void addImageOps(OpTable& ops);
void addRouterOps(OpTable& ops);
void addDispatchOps(OpTable& ops);
void addExpertOps(OpTable& ops);
void addCrossEntropyOps(OpTable& ops);
void addAdafactorOps(OpTable& ops);
void addAdamWOps(OpTable& ops);
void addMuonOps(OpTable& ops);
void addNoiseOps(OpTable& ops);
void addNormOps(OpTable& ops);
void addEmbeddingOps(OpTable& ops);
void addAttentionOps(OpTable& ops);
void addFeedForwardOps(OpTable& ops);

// Floating tensors as they are, others as float32.
inline at::Tensor floating(const at::Tensor& x) { return x.is_floating_point() || x.is_complex() ? x : x.to(at::kFloat); }

// Activations of TensorFlow.js's fused kernels; src/kernels/fused.ts has the same numbers.
at::Tensor activate(const at::Tensor& x, int64_t activation, const at::Tensor& preluWeights, double leakyreluAlpha);

}  // namespace tfjs_torch
