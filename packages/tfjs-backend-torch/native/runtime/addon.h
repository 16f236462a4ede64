#pragma once

#include <c10/core/InferenceMode.h>
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "distributed/binding.h"
#include "runtime/call.h"
#include "runtime/graph.h"
#include "runtime/program.h"
#include "runtime/signature.h"
#include "runtime/tensor_table.h"

namespace tfjs_torch {

// The addon in one JavaScript environment, and its state there. Node destroys it on the environment's own thread before the process or
// the worker ends, so tensors never outlive the libraries that free them. binding.cc names the functions; they stand in addon_calls.cc,
// addon_values.cc and addon_device.cc. src/native.ts has the types.
class TorchAddon : public Napi::Addon<TorchAddon> {
 public:
  TorchAddon(Napi::Env env, Napi::Object exports);

 private:
  // addon_calls.cc
  static napi_value run(napi_env env, napi_callback_info info);
  static napi_value release(napi_env env, napi_callback_info info);
  static TorchAddon* decode(napi_env env, napi_callback_info info, int32_t* argument);
  static napi_value fail(napi_env env, const std::string& name, const std::string& inputs, const std::string& why);
  static std::string described(const Signature& signature, const Call& call);
  void checkHandles(const Signature& signature) const;
  size_t flush();
  void releaseHandle(int32_t handle);
  void setBuffers(const Napi::CallbackInfo& info);
  void writeResults(const Napi::CallbackInfo& info);

  // addon_values.cc
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value view(const Napi::CallbackInfo& info);
  void overwrite(const Napi::CallbackInfo& info);
  Napi::Value normals(const Napi::CallbackInfo& info);

  // addon_device.cc
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value ops(const Napi::CallbackInfo& info);
  Napi::Value useAten(const Napi::CallbackInfo& info);
  void setChecksResults(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);
  void setThreads(const Napi::CallbackInfo& info);
  Napi::Value measureGemm(const Napi::CallbackInfo& info);
  void setGemm(const Napi::CallbackInfo& info);
  void synchronize(const Napi::CallbackInfo& info);
  Napi::Value deviceMemoryOf(const Napi::CallbackInfo& info);
  void graphBegin(const Napi::CallbackInfo& info);
  Napi::Value graphEnd(const Napi::CallbackInfo& info);
  void graphAbort(const Napi::CallbackInfo& info);
  void graphReplay(const Napi::CallbackInfo& info);
  void graphRelease(const Napi::CallbackInfo& info);
  void programBegin(const Napi::CallbackInfo& info);
  Napi::Value programEnd(const Napi::CallbackInfo& info);
  void programAbort(const Napi::CallbackInfo& info);
  void programRun(const Napi::CallbackInfo& info);
  void programRelease(const Napi::CallbackInfo& info);
  std::unique_ptr<Program>& programAt(int32_t id);

  static at::Device cuda(int index) { return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)); }
  napi_value function(napi_env env, const char* name, napi_callback callback);

  // Runs body; what it throws becomes a JavaScript error that begins with `what`.
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

  TensorTable table_;
  DistributedBinding distributed_{table_};
  Graphs graphs_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::unique_ptr<Program> recorded_;
  std::vector<at::Tensor> pending_;
  Napi::ObjectReference argsHold_, resultsHold_;
  double* args_ = nullptr;
  double* results_ = nullptr;
  size_t argsLength_ = 0, resultsLength_ = 0;
  bool checksResults_ = false;
};

}  // namespace tfjs_torch
