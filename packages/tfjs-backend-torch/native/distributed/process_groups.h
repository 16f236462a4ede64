#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tfjs_torch {

// A collective that was started: wait() blocks until it is done, on any thread, and throws what went wrong.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual void wait() = 0;
};

struct GroupOptions {
  std::string host;  // where rank 0 listens
  int port;
  bool listens;  // whether this process is the one that listens
  int rank, size;
  std::string prefix;  // of the keys in the store, another one for each new group of the same processes
  std::chrono::milliseconds timeout;
};

// Collectives of one kind in one group, since the group was made.
struct Traffic {
  std::string kind;
  int32_t group;
  int64_t size, times, bytes;
};

// Processes that talk by libtorch's c10d: Gloo for tensors of the CPU, NCCL for those of a GPU in a build with CUDA that finds nccl.h.
// Every rank must start the same collectives in the same order. Group 0 is all processes; others are parts of it.
class ProcessGroups {
 public:
  ProcessGroups();
  ~ProcessGroups();

  // Those of this process: all JavaScript threads talk through the same.
  static const std::shared_ptr<ProcessGroups>& shared();
  // Whether this build can: on Linux, with a libtorch that has Gloo.
  static bool available();
  // Connects to the other processes; blocks until all have come or the timeout is over.
  void open(const GroupOptions& options);
  bool isOpen() const;
  // A group of some of the processes, which all of them must call alike, in the same order. -1 for a rank that is not in it.
  int32_t split(const std::vector<int>& ranks);
  // Processes in a group. Throws where this process is not in it.
  int64_t sizeOf(int32_t group) const;
  // How often each collective was called in each group so far, with the bytes of its tensor on this rank.
  std::vector<Traffic> traffic() const;
  // Sums or the largest, in place. float32, int32 or bfloat16; contiguous.
  std::unique_ptr<Collective> allReduce(int32_t group, at::Tensor& x, bool largest);
  // The sum in `root`'s tensor; those of the others hold nothing of use afterwards. dtypes as above.
  std::unique_ptr<Collective> reduce(int32_t group, at::Tensor& x, int root);
  // out [n/size, …] is this rank's part of the sum of x [n, …].
  std::unique_ptr<Collective> reduceScatter(int32_t group, at::Tensor& out, at::Tensor& x);
  // out [size·n, …] is all ranks' x [n, …] in order.
  std::unique_ptr<Collective> allGather(int32_t group, at::Tensor& out, at::Tensor& x);
  // Rows of x go to ranks in order, `send` to each, and `receive` come from each into out. Empty lists: as many to and from everyone.
  std::unique_ptr<Collective> allToAll(int32_t group, at::Tensor& out, at::Tensor& x, std::vector<int64_t> receive,
                                       std::vector<int64_t> send);
  std::unique_ptr<Collective> broadcast(int32_t group, at::Tensor& x, int root);
  std::unique_ptr<Collective> barrier(int32_t group);
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tfjs_torch
