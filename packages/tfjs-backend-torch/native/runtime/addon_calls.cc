// Calls of operations: run() and release(), which go past node-addon-api's wrappers, and the buffers that they read and write.
#include <c10/core/InferenceMode.h>

#include "cpu/scheduling.h"
#include "runtime/addon.h"
#include "runtime/call.h"
#include "runtime/check.h"
#include "runtime/operations.h"

namespace tfjs_torch {

TorchAddon* TorchAddon::decode(napi_env env, napi_callback_info info, int32_t* argument) {
  napi_value value;
  size_t count = 1;
  void* self;
  if (napi_get_cb_info(env, info, &count, &value, nullptr, &self) != napi_ok || count != 1 ||
      napi_get_value_int32(env, value, argument) != napi_ok) {
    napi_throw_type_error(env, nullptr, "expected one number");
    return nullptr;
  }
  return static_cast<TorchAddon*>(self);
}

// run(op): decodes the argument buffer, runs the kernel, writes the result buffer. Returns 0, or the length that the
// result buffer lacks: JavaScript then gives a larger one and calls results().
napi_value TorchAddon::run(napi_env env, napi_callback_info info) {
  int32_t op;
  TorchAddon* const self = decode(env, info, &op);
  if (self == nullptr) return nullptr;
  if (op < 0 || static_cast<size_t>(op) >= operations().size()) {
    napi_throw_range_error(env, nullptr, "no such operation");
    return nullptr;
  }
  const Operation& operation = operations()[op];
  const Signature& signature = operation.signature;
  std::string inputs;
  try {
    const c10::InferenceMode inference;
    self->checkHandles(signature);
    Call call(self->table_, self->args_, self->argsLength_);
    try {
      const DeviceScope scope(call.device());
      checkCall(signature, call);
      if (call.device().is_cpu()) spreadThreads();
      if (self->checksResults_) {
        Call again = call;
        operation.run(call);
        for (const at::Tensor& x : call.results()) again.result(x);
        checkResults(signature, again);
      } else {
        operation.run(call);
      }
    } catch (...) {
      inputs = described(signature, call);
      throw;
    }
    if (self->recorded_) self->recorded_->addCall(operation, self->args_);
    self->pending_ = call.results();
  } catch (const c10::Error& error) {
    return fail(env, signature.name, inputs, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return fail(env, signature.name, inputs, error.what());
  }
  const size_t missing = self->flush();
  if (missing == 0) return nullptr;
  napi_value length;
  napi_create_uint32(env, static_cast<uint32_t>(missing), &length);
  return length;
}

// Refuses, by the input's name, a handle that is not in the table and a shape of another number of elements than its tensor.
void TorchAddon::checkHandles(const Signature& signature) const {
  const double* at = args_ + 3;
  const double* const end = args_ + argsLength_;
  for (size_t i = 0; static_cast<double>(i) < args_[2] && end - at >= 2; ++i) {
    const auto handle = static_cast<int64_t>(*at++);
    const auto rank = static_cast<int64_t>(*at++);
    if (rank < 0 || rank > end - at) return;  // Call refuses it
    const double* const shape = at;
    at += rank;
    if (handle == -1) continue;
    double elements = 1;
    for (int64_t d = 0; d < rank; ++d) elements *= shape[d];
    const auto name = [&] { return signature.inputs.empty() ? "inputs" : signature.inputs[std::min(i, signature.inputs.size() - 1)].name; };
    try {
      const at::Tensor& x = table_.get(handle);
      TORCH_CHECK(elements == static_cast<double>(x.numel()), "shape ", at::ArrayRef<double>(shape, rank), " is none of ",
                  Call::describe(x));
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, name(), ": ", error.what_without_backtrace());
    }
  }
}

// "x: float32[2,3], ids: int32[4]" for error messages.
std::string TorchAddon::described(const Signature& signature, const Call& call) {
  std::string text;
  for (size_t i = 0; i < call.count(); ++i) {
    if (!call.has(i)) continue;
    if (!text.empty()) text += ", ";
    if (i < signature.inputs.size()) text += signature.inputs[i].name + ": ";
    text += Call::describe(call.x(i));
  }
  return text;
}

napi_value TorchAddon::fail(napi_env env, const std::string& name, const std::string& inputs, const std::string& why) {
  napi_throw_error(env, "ERR_TORCH", (name + "(" + inputs + "): " + why).c_str());
  return nullptr;
}

napi_value TorchAddon::release(napi_env env, napi_callback_info info) {
  int32_t handle;
  TorchAddon* const self = decode(env, info, &handle);
  if (self == nullptr) return nullptr;
  try {
    self->releaseHandle(handle);
  } catch (const c10::Error& error) {
    napi_throw_error(env, "ERR_TORCH", error.what_without_backtrace());
  }
  return nullptr;
}

void TorchAddon::releaseHandle(int32_t handle) {
  table_.release(handle);
  if (recorded_) recorded_->addRelease(handle);
  for (const auto& program : programs_) {
    if (program) program->forget(handle);
  }
}

// Puts pending results into the table and their description into the buffer; returns the length that would be needed.
size_t TorchAddon::flush() {
  size_t length = 1;
  for (const auto& tensor : pending_) length += 4 + static_cast<size_t>(tensor.dim());
  if (length > resultsLength_) return length;
  double* out = results_;
  *out++ = static_cast<double>(pending_.size());
  std::vector<int32_t> handles;
  for (auto& tensor : pending_) {
    const bool isBfloat16 = tensor.scalar_type() == at::kBFloat16;
    const double flags = (tensor.is_contiguous() ? 1 : 0) + (isBfloat16 ? 2 : 0);
    const double type = dtypeCode(tensor.scalar_type());
    const Dims shape(tensor.sizes().begin(), tensor.sizes().end());
    const int32_t handle = table_.put(std::move(tensor));
    if (recorded_) handles.push_back(handle);
    *out++ = handle;
    *out++ = type;
    *out++ = flags;
    *out++ = static_cast<double>(shape.size());
    for (const int64_t size : shape) *out++ = static_cast<double>(size);
  }
  pending_.clear();
  if (recorded_) recorded_->addResults(handles);
  return 0;
}

void TorchAddon::setBuffers(const Napi::CallbackInfo& info) {
  auto args = info[0].As<Napi::Float64Array>();
  auto results = info[1].As<Napi::Float64Array>();
  argsHold_ = Napi::Persistent(args.As<Napi::Object>());
  resultsHold_ = Napi::Persistent(results.As<Napi::Object>());
  args_ = args.Data();
  argsLength_ = args.ElementLength();
  results_ = results.Data();
  resultsLength_ = results.ElementLength();
}

void TorchAddon::writeResults(const Napi::CallbackInfo& info) {
  if (flush() > 0) throw Napi::Error::New(info.Env(), "the result buffer is still too small");
}

}  // namespace tfjs_torch
