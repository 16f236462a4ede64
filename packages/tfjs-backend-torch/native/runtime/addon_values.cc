// Values of tensors in and out of JavaScript.
#include <cmath>

#include "cpu/normals.h"
#include "optim/square_sums.h"
#include "runtime/addon.h"
#include "runtime/call.h"

namespace tfjs_torch {

// write(values: typed array, dtype code, shape, device index): handle. Copies.
Napi::Value TorchAddon::write(const Napi::CallbackInfo& info) {
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
Napi::Value TorchAddon::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, "read", [&]() -> Napi::Value {
    TORCH_CHECK(!graphs_.recording() && !recorded_, "a value cannot be read while work is recorded");
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

// view(handle): the values of a contiguous float32 or int32 tensor of the CPU where they lie, undefined of any other. They stay while
// JavaScript has the array.
Napi::Value TorchAddon::view(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, "view", [&]() -> Napi::Value {
    const at::Tensor& tensor = table_.get(info[0].As<Napi::Number>().Int64Value());
    const bool isFloat = tensor.scalar_type() == at::kFloat;
    if (!tensor.is_cpu() || !tensor.is_contiguous() || tensor.numel() == 0 || !(isFloat || tensor.scalar_type() == at::kInt)) {
      return env.Undefined();
    }
    auto* const kept = new at::Tensor(tensor);
    const auto free = [](Napi::Env, void*, at::Tensor* x) { delete x; };
    const auto buffer = Napi::ArrayBuffer::New(env, kept->data_ptr(), kept->nbytes(), free, kept);
    const auto count = static_cast<size_t>(kept->numel());
    if (isFloat) return Napi::Float32Array::New(env, count, buffer, 0);
    return Napi::Int32Array::New(env, count, buffer, 0);
  });
}

// overwrite(handle, values: typed array of the tensor's dtype): new values where the old ones lie, for whoever shares them.
void TorchAddon::overwrite(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "overwrite", [&] {
    TORCH_CHECK(!recorded_, "a value cannot be overwritten while work is recorded");
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

// normals(draws: Float64Array of 7 numbers each, device index): handles. A draw: four words of sfc32's state, count, factor, whether
// truncated (cpu/normals.h).
Napi::Value TorchAddon::normals(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, "normals", [&]() -> Napi::Value {
    constexpr size_t kNumbers = 7;
    constexpr double kMostValues = 0x1p40;
    const auto given = info[0].As<Napi::Float64Array>();
    const int device = info[1].As<Napi::Number>().Int32Value();
    TORCH_CHECK(given.ElementLength() % kNumbers == 0, "a draw is ", kNumbers, " numbers");
    std::vector<NormalDraw> draws;
    for (size_t at = 0; at < given.ElementLength(); at += kNumbers) {
      const double* const x = given.Data() + at;
      for (size_t i = 0; i < 4; ++i) TORCH_CHECK(x[i] >= 0 && x[i] < 0x1p32 && x[i] == std::trunc(x[i]), x[i], " is no word");
      TORCH_CHECK(x[4] >= 0 && x[4] <= kMostValues && x[4] == std::trunc(x[4]), x[4], " is no count");
      const auto word = [&](size_t i) { return static_cast<uint32_t>(x[i]); };
      draws.push_back({{word(0), word(1), word(2), word(3)}, static_cast<int64_t>(x[4]), x[5], x[6] != 0});
    }
    const auto math = env.Global().Get("Math").As<Napi::Object>();
    const auto call = [&](const char* name, double x) {
      return math.Get(name).As<Napi::Function>().Call({Napi::Number::New(env, x)}).As<Napi::Number>().DoubleValue();
    };
    const auto exact = [&](double x, double angle) { return std::sqrt(-2 * call("log", x)) * call("cos", angle); };
    const std::vector<at::Tensor> tensors = drawNormals(draws, exact);
    const auto handles = Napi::Array::New(env, tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      handles.Set(static_cast<uint32_t>(i), table_.put(device < 0 ? tensors[i] : toDevice(tensors[i], cuda(device))));
    }
    return handles;
  });
}

}  // namespace tfjs_torch
