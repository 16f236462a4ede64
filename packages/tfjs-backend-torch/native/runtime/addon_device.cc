// What there is and how it is used: devices, threads, matrix products, graphs.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/csrc/api/include/torch/version.h>

#include "cpu/gemm/choice.h"
#include "runtime/addon.h"
#include "runtime/device.h"
#include "runtime/operations.h"

namespace tfjs_torch {
namespace {

constexpr std::pair<const char*, GemmType> gemmTypes[] = {{"bfloat16", GemmType::kBf16}, {"float32", GemmType::kFloat32}};

}  // namespace

Napi::Value TorchAddon::stats(const Napi::CallbackInfo& info) {
  const auto result = Napi::Object::New(info.Env());
  result.Set("tensors", static_cast<double>(table_.live()));
  result.Set("bytes", static_cast<double>(table_.bytes()));
  return result;
}

// The signatures of all operations as JSON; run() takes their positions.
Napi::Value TorchAddon::ops(const Napi::CallbackInfo& info) {
  std::string all = "[";
  for (const Operation& operation : operations()) {
    if (all.size() > 1) all += ',';
    all += toJson(operation.signature);
  }
  return Napi::String::New(info.Env(), all + "]");
}

// useAten(on): whether fused operations are computed by ATen's (runtime/device.h). Gives what was before.
Napi::Value TorchAddon::useAten(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), usesAten().exchange(info[0].ToBoolean()));
}

// checkResults(on): whether results are held to the signatures too.
void TorchAddon::setChecksResults(const Napi::CallbackInfo& info) { checksResults_ = info[0].ToBoolean(); }

Napi::Value TorchAddon::info(const Napi::CallbackInfo& info) {
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

void TorchAddon::setThreads(const Napi::CallbackInfo& info) { at::set_num_threads(info[0].As<Napi::Number>().Int32Value()); }

// measureGemm(): GFLOP/s of each way to multiply matrices here, by type and name (cpu/gemm/choice.h).
Napi::Value TorchAddon::measureGemm(const Napi::CallbackInfo& info) {
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
void TorchAddon::setGemm(const Napi::CallbackInfo& info) {
  const std::string type = info[0].As<Napi::String>(), name = info[1].As<Napi::String>();
  guarded(info.Env(), "setGemm", [&] {
    for (const auto& [known, which] : gemmTypes) {
      if (type == known) tfjs_torch::setGemm(which, name);
    }
    return 0;
  });
}

void TorchAddon::synchronize(const Napi::CallbackInfo& info) {
  const int device = info[0].As<Napi::Number>().Int32Value();
  if (device >= 0) {
    guarded(info.Env(), "synchronize", [&] {
      at::detail::getCUDAHooks().deviceSynchronize(static_cast<c10::DeviceIndex>(device));
      return 0;
    });
  }
}

// deviceMemory(device index): { allocated, peak, reserved, total } in bytes; undefined for the CPU.
Napi::Value TorchAddon::deviceMemoryOf(const Napi::CallbackInfo& info) {
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

void TorchAddon::graphBegin(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "graphBegin", [&] {
    const int device = info[0].As<Napi::Number>().Int32Value();
    graphs_.begin(device < 0 ? at::Device(at::kCPU) : cuda(device));
    return 0;
  });
}
Napi::Value TorchAddon::graphEnd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), guarded(info.Env(), "graphEnd", [&] { return graphs_.end(); }));
}
void TorchAddon::graphAbort(const Napi::CallbackInfo&) { graphs_.abort(); }
void TorchAddon::graphReplay(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "graphReplay", [&] { return graphs_.replay(info[0].As<Napi::Number>().Int32Value()), 0; });
}
void TorchAddon::graphRelease(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "graphRelease", [&] { return graphs_.release(info[0].As<Napi::Number>().Int32Value()), 0; });
}

void TorchAddon::programBegin(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "programBegin", [&] {
    TORCH_CHECK(!recorded_, "work is being recorded already");
    recorded_ = std::make_unique<Program>(table_);
    return 0;
  });
}
Napi::Value TorchAddon::programEnd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), guarded(info.Env(), "programEnd", [&] {
                             TORCH_CHECK(recorded_, "no work is being recorded");
                             recorded_->finish();
                             programs_.push_back(std::move(recorded_));
                             return static_cast<double>(programs_.size() - 1);
                           }));
}
void TorchAddon::programAbort(const Napi::CallbackInfo&) { recorded_.reset(); }
void TorchAddon::programRun(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "programRun", [&] { return programAt(info[0].As<Napi::Number>().Int32Value())->run(), 0; });
}
void TorchAddon::programRelease(const Napi::CallbackInfo& info) {
  guarded(info.Env(), "programRelease", [&] { return programAt(info[0].As<Napi::Number>().Int32Value()).reset(), 0; });
}
std::unique_ptr<Program>& TorchAddon::programAt(int32_t id) {
  TORCH_CHECK(id >= 0 && id < static_cast<int64_t>(programs_.size()) && programs_[id], "program ", id, " has been released, or never was");
  return programs_[id];
}

}  // namespace tfjs_torch
