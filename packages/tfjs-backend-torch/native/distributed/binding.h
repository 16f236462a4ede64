#pragma once

#include <napi.h>

#include <memory>

#include "distributed/process_groups.h"
#include "runtime/tensor_table.h"

namespace tfjs_torch {

// The process groups as functions of the addon: group*, each of which returns a promise. Collectives start at once, on JavaScript's thread
// and so in its order; they are waited for on another.
class DistributedBinding {
 public:
  explicit DistributedBinding(TensorTable& table) : table_(table) {}
  void define(Napi::Env env, Napi::Object exports);

 private:
  Napi::Value open(const Napi::CallbackInfo& info);
  Napi::Value split(const Napi::CallbackInfo& info);
  Napi::Value allReduce(const Napi::CallbackInfo& info);
  Napi::Value reduce(const Napi::CallbackInfo& info);
  Napi::Value broadcast(const Napi::CallbackInfo& info);
  Napi::Value collective(const Napi::CallbackInfo& info);
  at::Tensor tensor(const Napi::Value& handle);

  TensorTable& table_;
  std::shared_ptr<ProcessGroups> groups_ = ProcessGroups::shared();
};

}  // namespace tfjs_torch
