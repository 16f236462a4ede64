#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/operations.h"
#include "runtime/tensor_table.h"

namespace tfjs_torch {

// Calls that ran once, in their order, with the releases between them: they run again without JavaScript, which for a small model takes as
// long as a good part of its kernels. Tensors that it reads and did not make it keeps: whoever changes them does so in place. Those it
// made that JavaScript still holds have new values after each run, under their old handles.
class Program {
 public:
  explicit Program(TensorTable& table) : table_(table) {}

  // While it is recorded: a call (args as in runtime/call.h) whose results JavaScript then knows by these handles, and a handle that
  // JavaScript has let go of.
  void addCall(const Operation& operation, const double* args);
  void addResults(const std::vector<int32_t>& handles);
  void addRelease(int32_t handle);
  void finish();

  // @throws c10::Error of a call that fails
  void run();
  // Once it is recorded: JavaScript no longer holds a tensor that it made.
  void forget(int32_t handle) { outputs_.erase(handle); }

 private:
  struct Step {
    const Operation* operation;
    std::vector<double> args;       // with places in tensors_ for handles
    std::vector<int32_t> results;   // places
    std::vector<int32_t> releases;  // places that nobody reads after this step
  };

  int32_t placeOf(int32_t handle);

  TensorTable& table_;
  TensorTable tensors_;
  std::vector<Step> steps_;
  // While it is recorded, the places of the tensors that JavaScript holds.
  std::unordered_map<int32_t, int32_t> places_;
  // What it made that JavaScript holds: place by handle.
  std::unordered_map<int32_t, int32_t> outputs_;
};

}  // namespace tfjs_torch
