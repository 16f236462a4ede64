#include "runtime/call.h"

#include <sstream>

namespace tfjs_torch {

at::ScalarType scalarType(int code) {
  switch (code) {
    case kFloat32: return at::kFloat;
    case kInt32: return at::kInt;
    case kBoolean: return at::kBool;
    case kComplex64: return at::kComplexFloat;
    default: TORCH_CHECK(false, "unknown dtype code ", code);
  }
}

int dtypeCode(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
    case at::kBFloat16: return kFloat32;
    case at::kInt: return kInt32;
    case at::kBool: return kBoolean;
    case at::kComplexFloat: return kComplex64;
    default: TORCH_CHECK(false, "no TensorFlow.js dtype for ", c10::toString(type));
  }
}

Call::Call(TensorTable& table, const double* args, size_t capacity) : at_(args), end_(args + capacity) {
  const auto length = static_cast<size_t>(number());
  TORCH_CHECK(length >= 3 && length <= capacity, "malformed call of ", length, " values");
  end_ = args + length;
  const auto device = static_cast<int>(number());
  device_ = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
  const auto n = static_cast<size_t>(number());
  inputs_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const int64_t handle = integer();
    const Dims shape = ints();
    if (handle == -1) {
      inputs_.emplace_back();
      continue;
    }
    const at::Tensor& tensor = table.get(handle);
    // TensorFlow.js reshapes by sharing the data id, so the logical shape comes with every use.
    inputs_.push_back(tensor.sizes() == at::IntArrayRef(shape) ? tensor : tensor.reshape(shape));
  }
}

double Call::number() {
  TORCH_CHECK(at_ < end_, "a kernel read more parameters than it was given");
  return *at_++;
}

Dims Call::ints() {
  const int64_t n = integer();
  TORCH_CHECK(n >= 0 && n <= end_ - at_, "malformed list of ", n, " values");
  Dims values(n);
  for (auto& value : values) value = static_cast<int64_t>(*at_++);
  return values;
}

Dims Call::ints(int64_t length) {
  Dims values = ints();
  TORCH_CHECK(static_cast<int64_t>(values.size()) == length, "expected ", length, " values, got ", values.size());
  return values;
}

std::string Call::text() {
  std::string text;
  for (const int64_t code : ints()) text.push_back(static_cast<char>(code));
  return text;
}

void Call::result(at::Tensor tensor) {
  switch (tensor.scalar_type()) {
    case at::kLong: tensor = tensor.to(at::kInt); break;
    case at::kDouble:
    case at::kHalf: tensor = tensor.to(at::kFloat); break;
    case at::kComplexDouble: tensor = tensor.to(at::kComplexFloat); break;
    default: break;
  }
  results_.push_back(std::move(tensor));
}

std::string Call::describe(const at::Tensor& x) {
  std::ostringstream out;
  switch (x.scalar_type()) {
    case at::kFloat: out << "float32"; break;
    case at::kInt: out << "int32"; break;
    case at::kBool: out << "bool"; break;
    case at::kComplexFloat: out << "complex64"; break;
    case at::kBFloat16: out << "bfloat16"; break;
    default: out << c10::toString(x.scalar_type());
  }
  out << '[';
  for (int64_t d = 0; d < x.dim(); ++d) out << (d > 0 ? "," : "") << x.size(d);
  out << ']';
  return out.str();
}

}  // namespace tfjs_torch
