#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace tfjs_torch {

// Tensors that JavaScript holds, by small integer handle. One table per JavaScript environment (main thread or worker):
// a handle never crosses threads, so no lock is needed.
class TensorTable {
 public:
  int32_t put(at::Tensor tensor) {
    ++live_;
    if (!free_.empty()) {
      const int32_t handle = free_.back();
      free_.pop_back();
      slots_[handle] = std::move(tensor);
      return handle;
    }
    slots_.push_back(std::move(tensor));
    return static_cast<int32_t>(slots_.size()) - 1;
  }

  const at::Tensor& get(int64_t handle) const {
    TORCH_CHECK(handle >= 0 && handle < static_cast<int64_t>(slots_.size()) && slots_[handle].defined(), "tensor handle ", handle,
                " is not alive");
    return slots_[handle];
  }

  // Another tensor under a handle that is in use; an undefined one keeps its place.
  void set(int32_t handle, at::Tensor tensor) { slots_.at(handle) = std::move(tensor); }

  void release(int32_t handle) {
    get(handle);
    slots_[handle].reset();
    free_.push_back(handle);
    --live_;
  }

  void clear() {
    slots_.clear();
    free_.clear();
    live_ = 0;
  }

  int64_t live() const { return live_; }

  // Bytes of the tensors' storages as seen by each handle; a storage shared by views counts once per view.
  int64_t bytes() const {
    int64_t total = 0;
    for (const auto& tensor : slots_) {
      if (tensor.defined()) total += static_cast<int64_t>(tensor.nbytes());
    }
    return total;
  }

 private:
  std::vector<at::Tensor> slots_;
  std::vector<int32_t> free_;
  int64_t live_ = 0;
};

}  // namespace tfjs_torch
