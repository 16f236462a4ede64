// The thin part between Node-API and the kernels: buffers, handles, values in and out, errors.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/InferenceMode.h>
#include <napi.h>
#include <torch/csrc/api/include/torch/version.h>

#include "cpu/gemm/choice.h"
#include "distributed/binding.h"
#include "optim/square_sums.h"
#include "runtime/allocator.h"
#include "runtime/call.h"
#include "runtime/check.h"
#include "runtime/graph.h"
#include "runtime/operations.h"

namespace tfjs_torch {
namespace {

constexpr std::pair<const char*, GemmType> gemmTypes[] = {{"bfloat16", GemmType::kBf16}, {"float32", GemmType::kFloat32}};

// State of one JavaScript environment. Node destroys it on the environment's own thread before the process or the worker
// ends, so tensors never outlive the libraries that free them.
class TorchAddon : public Napi::Addon<TorchAddon> {
 public:
  TorchAddon(Napi::Env env, Napi::Object exports) {
    keepFreedMemory();
    DefineAddon(exports, {
                             InstanceMethod("setBuffers", &TorchAddon::setBuffers),
                             InstanceMethod("results", &TorchAddon::writeResults),
                             InstanceMethod("write", &TorchAddon::write),
                             InstanceMethod("read", &TorchAddon::read),
                             InstanceMethod("stats", &TorchAddon::stats),
                             InstanceMethod("ops", &TorchAddon::ops),
                             InstanceMethod("checkResults", &TorchAddon::setChecksResults),
                             InstanceMethod("info", &TorchAddon::info),
                             InstanceMethod("setThreads", &TorchAddon::setThreads),
                             InstanceMethod("measureGemm", &TorchAddon::measureGemm),
                             InstanceMethod("setGemm", &TorchAddon::setGemm),
                             InstanceMethod("synchronize", &TorchAddon::synchronize),
                             InstanceMethod("deviceMemory", &TorchAddon::deviceMemoryOf),
                             InstanceMethod("overwrite", &TorchAddon::overwrite),
                             InstanceMethod("graphBegin", &TorchAddon::graphBegin),
                             InstanceMethod("graphEnd", &TorchAddon::graphEnd),
                             InstanceMethod("graphAbort", &TorchAddon::graphAbort),
                             InstanceMethod("graphReplay", &TorchAddon::graphReplay),
                             InstanceMethod("graphRelease", &TorchAddon::graphRelease),
                         });
    distributed_.define(env, exports);
    // The two hot calls go past node-addon-api's wrappers.
    exports.Set("run", Napi::Value(env, function(env, "run", &TorchAddon::run)));
    exports.Set("release", Napi::Value(env, function(env, "release", &TorchAddon::release)));
  }

 private:
  napi_value function(napi_env env, const char* name, napi_callback callback) {
    napi_value value;
    NAPI_THROW_IF_FAILED(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, this, &value), nullptr);
    return value;
  }

  static TorchAddon* decode(napi_env env, napi_callback_info info, int32_t* argument) {
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
  static napi_value run(napi_env env, napi_callback_info info) {
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
  void checkHandles(const Signature& signature) const {
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
      const auto name = [&] {
        return signature.inputs.empty() ? "inputs" : signature.inputs[std::min(i, signature.inputs.size() - 1)].name;
      };
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
  static std::string described(const Signature& signature, const Call& call) {
    std::string text;
    for (size_t i = 0; i < call.count(); ++i) {
      if (!call.has(i)) continue;
      if (!text.empty()) text += ", ";
      if (i < signature.inputs.size()) text += signature.inputs[i].name + ": ";
      text += Call::describe(call.x(i));
    }
    return text;
  }

  static napi_value fail(napi_env env, const std::string& name, const std::string& inputs, const std::string& why) {
    napi_throw_error(env, "ERR_TORCH", (name + "(" + inputs + "): " + why).c_str());
    return nullptr;
  }

  static napi_value release(napi_env env, napi_callback_info info) {
    int32_t handle;
    TorchAddon* const self = decode(env, info, &handle);
    if (self == nullptr) return nullptr;
    try {
      self->table_.release(handle);
    } catch (const c10::Error& error) {
      napi_throw_error(env, "ERR_TORCH", error.what_without_backtrace());
    }
    return nullptr;
  }

  // Puts pending results into the table and their description into the buffer; returns the length that would be needed.
  size_t flush() {
    size_t length = 1;
    for (const auto& tensor : pending_) length += 4 + static_cast<size_t>(tensor.dim());
    if (length > resultsLength_) return length;
    double* out = results_;
    *out++ = static_cast<double>(pending_.size());
    for (auto& tensor : pending_) {
      const bool isBfloat16 = tensor.scalar_type() == at::kBFloat16;
      const double flags = (tensor.is_contiguous() ? 1 : 0) + (isBfloat16 ? 2 : 0);
      const double type = dtypeCode(tensor.scalar_type());
      const Dims shape(tensor.sizes().begin(), tensor.sizes().end());
      *out++ = table_.put(std::move(tensor));
      *out++ = type;
      *out++ = flags;
      *out++ = static_cast<double>(shape.size());
      for (const int64_t size : shape) *out++ = static_cast<double>(size);
    }
    pending_.clear();
    return 0;
  }

  void setBuffers(const Napi::CallbackInfo& info) {
    auto args = info[0].As<Napi::Float64Array>();
    auto results = info[1].As<Napi::Float64Array>();
    argsHold_ = Napi::Persistent(args.As<Napi::Object>());
    resultsHold_ = Napi::Persistent(results.As<Napi::Object>());
    args_ = args.Data();
    argsLength_ = args.ElementLength();
    results_ = results.Data();
    resultsLength_ = results.ElementLength();
  }

  void writeResults(const Napi::CallbackInfo& info) {
    if (flush() > 0) throw Napi::Error::New(info.Env(), "the result buffer is still too small");
  }

  template <typename F>
  static auto guarded(Napi::Env env, const char* what, F&& body) {
    try {
      const c10::InferenceMode inference;
      return body();
    } catch (const c10::Error& error) {
      throw Napi::Error::New(env, std::string(what) + ": " + error.what_without_backtrace());
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& error) {
      throw Napi::Error::New(env, std::string(what) + ": " + error.what());
    }
  }

  // write(values: typed array, dtype code, shape, device index): handle. Copies.
  Napi::Value write(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, "write", [&]() -> Napi::Value {
      const auto values = info[0].As<Napi::TypedArray>();
      const at::ScalarType type = scalarType(info[1].As<Napi::Number>().Int32Value());
      const auto sizes = info[2].As<Napi::Array>();
      const int device = info[3].As<Napi::Number>().Int32Value();
      Dims shape;
      for (uint32_t i = 0; i < sizes.Length(); ++i) shape.push_back(sizes.Get(i).As<Napi::Number>().Int64Value());
      at::Tensor tensor = hostBuffer(shape, type, device < 0 ? at::Device(at::kCPU) : cuda(device));
      TORCH_CHECK(tensor.nbytes() == values.ByteLength(), "shape ", shape, " needs ", tensor.nbytes(), " bytes, got ", values.ByteLength());
      const auto* from = static_cast<const uint8_t*>(values.ArrayBuffer().Data()) + values.ByteOffset();
      auto* to = static_cast<uint8_t*>(tensor.data_ptr());
      if (type == at::kBool) {  // any other byte than 0 and 1 would be undefined behaviour in C++
        for (size_t i = 0; i < values.ByteLength(); ++i) to[i] = from[i] != 0;
      } else if (values.ByteLength() > 0) {
        std::memcpy(to, from, values.ByteLength());
      }
      if (device >= 0) tensor = toDevice(tensor, cuda(device));
      return Napi::Number::New(env, table_.put(std::move(tensor)));
    });
  }

  // read(handle): typed array of the tensor's values. Copies; waits for the device.
  Napi::Value read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, "read", [&]() -> Napi::Value {
      TORCH_CHECK(!graphs_.recording(), "a value cannot be read while a graph is recorded");
      at::Tensor tensor = table_.get(info[0].As<Napi::Number>().Int64Value());
      const DeviceScope scope(tensor.device());
      if (tensor.scalar_type() == at::kBFloat16) tensor = tensor.to(at::kFloat);
      tensor = tensor.to(at::kCPU).contiguous();
      const size_t bytes = tensor.nbytes();
      Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
      if (bytes > 0) std::memcpy(buffer.Data(), tensor.data_ptr(), bytes);
      switch (tensor.scalar_type()) {
        case at::kInt: return Napi::Int32Array::New(env, bytes / 4, buffer, 0);
        case at::kBool: return Napi::Uint8Array::New(env, bytes, buffer, 0);
        default: return Napi::Float32Array::New(env, bytes / 4, buffer, 0);
      }
    });
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    const auto result = Napi::Object::New(info.Env());
    result.Set("tensors", static_cast<double>(table_.live()));
    result.Set("bytes", static_cast<double>(table_.bytes()));
    return result;
  }

  // The signatures of all operations as JSON; run() takes their positions.
  Napi::Value ops(const Napi::CallbackInfo& info) {
    std::string all = "[";
    for (const Operation& operation : operations()) {
      if (all.size() > 1) all += ',';
      all += toJson(operation.signature);
    }
    return Napi::String::New(info.Env(), all + "]");
  }

  // checkResults(on): whether results are held to the signatures too.
  void setChecksResults(const Napi::CallbackInfo& info) { checksResults_ = info[0].ToBoolean(); }

  Napi::Value info(const Napi::CallbackInfo& info) {
    const auto result = Napi::Object::New(info.Env());
    const bool cuda = at::hasCUDA();
    result.Set("torchVersion", TORCH_VERSION);
    result.Set("cudaDevices", cuda ? static_cast<double>(at::detail::getCUDAHooks().getNumGPUs()) : 0.0);
    result.Set("cudaBuild", at::detail::getCUDAHooks().hasCUDA() || cuda);
    result.Set("threads", static_cast<double>(at::get_num_threads()));
    result.Set("cpu", at::get_cpu_capability());
    const auto gemm = Napi::Object::New(info.Env());
    const auto available = Napi::Object::New(info.Env());
    for (const auto& [name, type] : gemmTypes) {
      gemm.Set(name, gemmName(type));
      const std::vector<std::string> names = gemmNames(type);
      const auto list = Napi::Array::New(info.Env(), names.size());
      for (size_t i = 0; i < names.size(); ++i) list.Set(static_cast<uint32_t>(i), names[i]);
      available.Set(name, list);
    }
    result.Set("gemmAvailable", available);
    result.Set("gemm", gemm);
    result.Set("graphs", Graphs::available());
    return result;
  }

  void setThreads(const Napi::CallbackInfo& info) { at::set_num_threads(info[0].As<Napi::Number>().Int32Value()); }

  // measureGemm(): GFLOP/s of each way to multiply matrices here, by type and name (cpu/gemm/choice.h).
  Napi::Value measureGemm(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), "measureGemm", [&]() -> Napi::Value {
      const auto result = Napi::Object::New(info.Env());
      for (const auto& [name, type] : gemmTypes) {
        const auto rates = Napi::Object::New(info.Env());
        for (const auto& [way, rate] : tfjs_torch::measureGemm(type)) rates.Set(way, rate);
        result.Set(name, rates);
      }
      return result;
    });
  }

  // setGemm(type, name)
  void setGemm(const Napi::CallbackInfo& info) {
    const std::string type = info[0].As<Napi::String>(), name = info[1].As<Napi::String>();
    guarded(info.Env(), "setGemm", [&] {
      for (const auto& [known, which] : gemmTypes) {
        if (type == known) tfjs_torch::setGemm(which, name);
      }
      return 0;
    });
  }

  void synchronize(const Napi::CallbackInfo& info) {
    const int device = info[0].As<Napi::Number>().Int32Value();
    if (device >= 0) {
      guarded(info.Env(), "synchronize", [&] {
        at::detail::getCUDAHooks().deviceSynchronize(static_cast<c10::DeviceIndex>(device));
        return 0;
      });
    }
  }

  // deviceMemory(device index): { allocated, peak, reserved, total } in bytes; undefined for the CPU.
  Napi::Value deviceMemoryOf(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const int index = info[0].As<Napi::Number>().Int32Value();
    return guarded(env, "deviceMemory", [&]() -> Napi::Value {
      const auto memory = deviceMemory(index < 0 ? at::Device(at::kCPU) : cuda(index));
      if (!memory) return env.Undefined();
      const auto result = Napi::Object::New(env);
      result.Set("allocated", static_cast<double>(memory->allocated));
      result.Set("peak", static_cast<double>(memory->peak));
      result.Set("reserved", static_cast<double>(memory->reserved));
      result.Set("total", static_cast<double>(memory->total));
      return result;
    });
  }

  static at::Device cuda(int index) { return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)); }

  // overwrite(handle, values: typed array of the tensor's dtype): new values where the old ones lie, for whoever shares them.
  void overwrite(const Napi::CallbackInfo& info) {
    guarded(info.Env(), "overwrite", [&] {
      const at::Tensor& tensor = table_.get(info[0].As<Napi::Number>().Int64Value());
      const auto values = info[1].As<Napi::TypedArray>();
      TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kInt, "float32 or int32 expected");
      TORCH_CHECK(tensor.nbytes() == values.ByteLength(), "shape ", tensor.sizes(), " needs ", tensor.nbytes(), " bytes, got ",
                  values.ByteLength());
      auto* from = static_cast<uint8_t*>(values.ArrayBuffer().Data()) + values.ByteOffset();
      const DeviceScope scope(tensor.device());
      const at::Tensor staged = hostBuffer(tensor.sizes(), tensor.scalar_type(), tensor.device());
      std::memcpy(staged.mutable_data_ptr(), from, values.ByteLength());
      tensor.copy_(staged, staged.is_pinned());
      setSquareSums(tensor, nullptr);
      return 0;
    });
  }

  void graphBegin(const Napi::CallbackInfo& info) {
    guarded(info.Env(), "graphBegin", [&] {
      const int device = info[0].As<Napi::Number>().Int32Value();
      graphs_.begin(device < 0 ? at::Device(at::kCPU) : cuda(device));
      return 0;
    });
  }
  Napi::Value graphEnd(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), guarded(info.Env(), "graphEnd", [&] { return graphs_.end(); }));
  }
  void graphAbort(const Napi::CallbackInfo&) { graphs_.abort(); }
  void graphReplay(const Napi::CallbackInfo& info) {
    guarded(info.Env(), "graphReplay", [&] { return graphs_.replay(info[0].As<Napi::Number>().Int32Value()), 0; });
  }
  void graphRelease(const Napi::CallbackInfo& info) {
    guarded(info.Env(), "graphRelease", [&] { return graphs_.release(info[0].As<Napi::Number>().Int32Value()), 0; });
  }

  TensorTable table_;
  DistributedBinding distributed_{table_};
  Graphs graphs_;
  std::vector<at::Tensor> pending_;
  Napi::ObjectReference argsHold_, resultsHold_;
  double* args_ = nullptr;
  double* results_ = nullptr;
  size_t argsLength_ = 0, resultsLength_ = 0;
  bool checksResults_ = false;
};

}  // namespace
}  // namespace tfjs_torch

using tfjs_torch::TorchAddon;
NODE_API_ADDON(TorchAddon)
