// The functions that JavaScript sees.
#include "cpu/scheduling.h"
#include "runtime/addon.h"
#include "runtime/allocator.h"

namespace tfjs_torch {

TorchAddon::TorchAddon(Napi::Env env, Napi::Object exports) {
  keepFreedMemory();
  requestShortSlices();
  DefineAddon(exports, {
                           InstanceMethod("setBuffers", &TorchAddon::setBuffers),
                           InstanceMethod("results", &TorchAddon::writeResults),
                           InstanceMethod("write", &TorchAddon::write),
                           InstanceMethod("read", &TorchAddon::read),
                           InstanceMethod("view", &TorchAddon::view),
                           InstanceMethod("overwrite", &TorchAddon::overwrite),
                           InstanceMethod("normals", &TorchAddon::normals),
                           InstanceMethod("stats", &TorchAddon::stats),
                           InstanceMethod("ops", &TorchAddon::ops),
                           InstanceMethod("useAten", &TorchAddon::useAten),
                           InstanceMethod("checkResults", &TorchAddon::setChecksResults),
                           InstanceMethod("info", &TorchAddon::info),
                           InstanceMethod("setThreads", &TorchAddon::setThreads),
                           InstanceMethod("measureGemm", &TorchAddon::measureGemm),
                           InstanceMethod("setGemm", &TorchAddon::setGemm),
                           InstanceMethod("synchronize", &TorchAddon::synchronize),
                           InstanceMethod("deviceMemory", &TorchAddon::deviceMemoryOf),
                           InstanceMethod("graphBegin", &TorchAddon::graphBegin),
                           InstanceMethod("graphEnd", &TorchAddon::graphEnd),
                           InstanceMethod("graphAbort", &TorchAddon::graphAbort),
                           InstanceMethod("graphReplay", &TorchAddon::graphReplay),
                           InstanceMethod("graphRelease", &TorchAddon::graphRelease),
                           InstanceMethod("programBegin", &TorchAddon::programBegin),
                           InstanceMethod("programEnd", &TorchAddon::programEnd),
                           InstanceMethod("programAbort", &TorchAddon::programAbort),
                           InstanceMethod("programRun", &TorchAddon::programRun),
                           InstanceMethod("programRelease", &TorchAddon::programRelease),
                       });
  distributed_.define(env, exports);
  // The two hot calls go past node-addon-api's wrappers.
  exports.Set("run", Napi::Value(env, function(env, "run", &TorchAddon::run)));
  exports.Set("release", Napi::Value(env, function(env, "release", &TorchAddon::release)));
}

napi_value TorchAddon::function(napi_env env, const char* name, napi_callback callback) {
  napi_value value;
  NAPI_THROW_IF_FAILED(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, this, &value), nullptr);
  return value;
}

}  // namespace tfjs_torch

using tfjs_torch::TorchAddon;
NODE_API_ADDON(TorchAddon)
