#include "runtime/graph.h"

#include <ATen/ops/empty.h>

#ifdef TFJS_TORCH_GRAPHS
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <map>
#endif

namespace tfjs_torch {

#ifdef TFJS_TORCH_GRAPHS

namespace {

enum class Use { kCompute, kUpload };

// One stream a thread, device and use: PyTorch's pool gives another with every call.
c10::cuda::CUDAStream streamOf(at::Device device, Use use) {
  thread_local std::map<std::pair<int, Use>, c10::cuda::CUDAStream> streams;
  const std::pair<int, Use> key{device.index(), use};
  auto found = streams.find(key);
  if (found == streams.end()) found = streams.emplace(key, c10::cuda::getStreamFromPool(false, device.index())).first;
  return found->second;
}

}  // namespace

DeviceScope::DeviceScope(at::Device device) {
  if (device.is_cuda()) stream_.emplace(streamOf(device, Use::kCompute));
}

struct Graphs::Graph {
  explicit Graph(at::Device where) : device(where) {}
  at::Device device;
  at::cuda::CUDAGraph graph;
  std::vector<at::Tensor> constants;
};

namespace {
// Of the graph that this thread records, null where it records none.
thread_local std::vector<at::Tensor>* constantsOfRecording = nullptr;
}  // namespace

bool Graphs::available() { return true; }

void Graphs::begin(at::Device device) {
  TORCH_CHECK(device.is_cuda(), "only work on CUDA can be recorded");
  TORCH_CHECK(!recording_, "a graph is being recorded already");
  auto graph = std::make_unique<Graph>(device);
  const DeviceScope scope(device);
  c10::cuda::device_synchronize();
  // What the steps before kept for reuse: the graph has a pool of its own, and nothing can be freed while it is recorded.
  c10::cuda::CUDACachingAllocator::emptyCache();
  // Relaxed: the copies of toDevice wait for a stream of their own meanwhile.
  graph->graph.capture_begin({0, 0}, cudaStreamCaptureModeRelaxed);
  recording_ = std::move(graph);
  constantsOfRecording = &recording_->constants;
}

int32_t Graphs::end() {
  TORCH_CHECK(recording_, "no graph is being recorded");
  constantsOfRecording = nullptr;
  std::unique_ptr<Graph> graph = std::move(recording_);
  const DeviceScope scope(graph->device);
  graph->graph.capture_end();
  graphs_.push_back(std::move(graph));
  return static_cast<int32_t>(graphs_.size()) - 1;
}

void Graphs::abort() {
  if (!recording_) return;
  constantsOfRecording = nullptr;
  const DeviceScope scope(recording_->device);
  try {
    recording_->graph.capture_end();
  } catch (const c10::Error&) {
    // What ended the recording has been reported.
  }
  recording_.reset();
}

void Graphs::replay(int32_t id) {
  Graph& graph = *at(id);
  const DeviceScope scope(graph.device);
  graph.graph.replay();
}

void Graphs::release(int32_t id) {
  std::unique_ptr<Graph>& graph = at(id);
  const DeviceScope scope(graph->device);
  c10::cuda::device_synchronize();
  graph.reset();
}

bool isRecording() { return constantsOfRecording != nullptr; }

at::Tensor toDevice(const at::Tensor& host, at::Device device) {
  if (constantsOfRecording == nullptr) {
    const DeviceScope scope(device);
    return host.to(device, host.scalar_type(), host.is_pinned());
  }
  const c10::cuda::CUDAStreamGuard aside(streamOf(device, Use::kUpload));
  at::Tensor copy = host.to(device);
  constantsOfRecording->push_back(copy);
  return copy;
}

at::Tensor hostBuffer(at::IntArrayRef shape, at::ScalarType type, at::Device target) {
  constexpr int64_t kMostPinned = int64_t{64} << 20;
  const int64_t bytes = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(type));
  const bool isPinned = target.is_cuda() && !isRecording() && bytes <= kMostPinned;
  return at::empty(shape, at::TensorOptions().dtype(type).pinned_memory(isPinned));
}

std::optional<DeviceMemory> deviceMemory(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  const c10::cuda::CUDAGuard guard(device);
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  size_t free = 0, total = 0;
  TORCH_CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess, "the device does not say how much memory it has");
  // The first of each is of all pools together.
  return DeviceMemory{stats.allocated_bytes[0].current, stats.allocated_bytes[0].peak, stats.reserved_bytes[0].current,
                      static_cast<int64_t>(total)};
}

#else

DeviceScope::DeviceScope(at::Device device) {
  if (!device.is_cpu()) device_.emplace(device);
}

struct Graphs::Graph {};

namespace {
[[noreturn]] void unavailable() { TORCH_CHECK(false, "this build of the addon cannot record graphs: it needs CUDA and its nvcc"); }
}  // namespace

bool Graphs::available() { return false; }
void Graphs::begin(at::Device) { unavailable(); }
int32_t Graphs::end() { unavailable(); }
void Graphs::abort() {}
void Graphs::replay(int32_t id) { at(id); }
void Graphs::release(int32_t id) { at(id).reset(); }
bool isRecording() { return false; }
at::Tensor hostBuffer(at::IntArrayRef shape, at::ScalarType type, at::Device) { return at::empty(shape, type); }
std::optional<DeviceMemory> deviceMemory(at::Device) { return std::nullopt; }
at::Tensor toDevice(const at::Tensor& host, at::Device device) { return host.to(device); }

#endif

Graphs::Graphs() = default;
Graphs::~Graphs() { abort(); }
std::unique_ptr<Graphs::Graph>& Graphs::at(int32_t id) {
  TORCH_CHECK(id >= 0 && id < static_cast<int64_t>(graphs_.size()) && graphs_[id], "graph ", id, " has been released, or never was");
  return graphs_[id];
}
bool Graphs::recording() const { return recording_ != nullptr; }

}  // namespace tfjs_torch
