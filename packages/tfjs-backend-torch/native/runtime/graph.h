#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <memory>
#include <optional>
#include <vector>

// The emulated build (runtime/device.h) has kernels, but no device to record.
#if defined(TFJS_TORCH_CUDA) && !defined(TFJS_TORCH_EMULATED_CUDA)
#define TFJS_TORCH_GRAPHS
#endif

#ifdef TFJS_TORCH_GRAPHS
#include <c10/cuda/CUDAGuard.h>
#endif

namespace tfjs_torch {

// While it lives, this thread computes on the device, and on CUDA on the addon's own stream: the default stream cannot be
// recorded, and what cuBLAS keeps per stream is then there before a recording begins.
class DeviceScope {
 public:
  explicit DeviceScope(at::Device device);

 private:
#ifdef TFJS_TORCH_GRAPHS
  std::optional<c10::cuda::CUDAStreamGuard> stream_;
#else
  std::optional<c10::DeviceGuard> device_;
#endif
};

// A graph of a device's work: recorded once, started again as a whole. Everything it reads and writes stays where it was.
class Graphs {
 public:
  Graphs();
  ~Graphs();

  // Whether this build can record: with CUDA, and compiled by its toolkit.
  static bool available();
  bool recording() const;
  // From here to end() or abort() work on the device is recorded, not run. Memory freed meanwhile is used again within the graph.
  void begin(at::Device device);
  int32_t end();
  void abort();
  void replay(int32_t id);
  void release(int32_t id);

 private:
  struct Graph;
  // Throws where it has been released, or never was.
  std::unique_ptr<Graph>& at(int32_t id);
  std::vector<std::unique_ptr<Graph>> graphs_;
  std::unique_ptr<Graph> recording_;
};

// Whether this thread records a graph.
bool isRecording();

// Room for values that will go to the device: pinned, so that the copy runs beside the host's work, unless they are many or a graph is
// being recorded.
at::Tensor hostBuffer(at::IntArrayRef shape, at::ScalarType type, at::Device target);

// A CUDA device's memory in bytes: what tensors hold, the most that they held, what is kept for them, and all there is.
struct DeviceMemory {
  int64_t allocated, peak, reserved, total;
};
std::optional<DeviceMemory> deviceMemory(at::Device device);

// A copy of host values on the device. While this thread records a graph the copy is made at once, outside of it, and the graph
// keeps it.
at::Tensor toDevice(const at::Tensor& host, at::Device device);

}  // namespace tfjs_torch
