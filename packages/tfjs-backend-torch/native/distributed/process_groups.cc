#include "distributed/process_groups.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <utility>

#if defined(__linux__) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define TFJS_TORCH_GLOO 1
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
// Tensors of a GPU talk by NCCL. nccl.h comes with the wheel nvidia-nccl beside a torch with CUDA.
#if defined(TFJS_TORCH_SEEK_NCCL) && __has_include(<nccl.h>)
#define TFJS_TORCH_NCCL 1
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace tfjs_torch {

const std::shared_ptr<ProcessGroups>& ProcessGroups::shared() {
  static const auto groups = std::make_shared<ProcessGroups>();
  return groups;
}

#ifdef TFJS_TORCH_GLOO

namespace {

class StartedCollective final : public Collective {
 public:
  StartedCollective(const char* name, c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> held)
      : name_(name), work_(std::move(work)), held_(std::move(held)) {}

  void wait() override {
    try {
      work_->wait();
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, name_, ": ", error.what_without_backtrace());
    } catch (const std::exception& error) {
      TORCH_CHECK(false, name_, ": ", error.what());
    }
  }

 private:
  const char* name_;
  c10::intrusive_ptr<c10d::Work> work_;
  std::vector<at::Tensor> held_;  // until it is done
};

}  // namespace

struct ProcessGroups::State {
  GroupOptions options;
  c10::intrusive_ptr<c10d::Store> store;
  // The same ranks, for tensors of the CPU and of a GPU; the second only where this build has NCCL.
  struct Group {
    c10::intrusive_ptr<c10d::Backend> gloo, nccl;
  };
  std::vector<Group> groups;
  // Times and bytes by group and kind.
  std::map<std::pair<int32_t, std::string>, std::pair<int64_t, int64_t>> counted;

  Group connect(const std::string& prefix, int rank, int size) {
    Group group;
    auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
    // The address by which the store was reached is one that the others reach too; its host's own interface is looked up by name.
    gloo->devices.push_back(options.host == "127.0.0.1" || options.host == "localhost"
                                ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                : c10d::ProcessGroupGloo::createDefaultDevice());
    group.gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>(prefix, store), rank, size, gloo);
#ifdef TFJS_TORCH_NCCL
    // Communicators are made at the first collective.
    auto nccl = c10d::ProcessGroupNCCL::Options::create();
    nccl->timeout = options.timeout;
    group.nccl =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>(prefix + "/nccl", store), rank, size, nccl);
#endif
    return group;
  }

  const Group& group(int32_t id) {
    TORCH_CHECK(id >= 0 && id < static_cast<int32_t>(groups.size()) && groups[id].gloo, "this process is in no process group ", id);
    return groups[id];
  }

  c10d::Backend& counting(int32_t id, const char* kind, const at::Tensor& x) {
    const Group& of = group(id);
    TORCH_CHECK(x.is_cpu() || (x.is_cuda() && of.nccl), kind, ": this build's process groups have no tensors of ", x.device());
    auto& [times, bytes] = counted[{id, kind}];
    ++times;
    bytes += static_cast<int64_t>(x.nbytes());
    return x.is_cpu() ? *of.gloo : *of.nccl;
  }
};

ProcessGroups::ProcessGroups() = default;
ProcessGroups::~ProcessGroups() = default;

bool ProcessGroups::available() { return true; }
bool ProcessGroups::isOpen() const { return state_ != nullptr; }

void ProcessGroups::open(const GroupOptions& options) {
  TORCH_CHECK(!isOpen(), "this process is in a group already");
  TORCH_CHECK(options.rank >= 0 && options.rank < options.size, "rank ", options.rank, " of ", options.size);
  auto state = std::make_unique<State>();
  state->options = options;
  c10d::TCPStoreOptions store;
  store.port = static_cast<std::uint16_t>(options.port);
  store.isServer = options.listens;
  store.numWorkers = options.size;
  store.waitWorkers = false;
  store.timeout = options.timeout;
  state->store = c10::make_intrusive<c10d::TCPStore>(options.host, store);
  state->groups.push_back(state->connect(options.prefix, options.rank, options.size));
  state_ = std::move(state);
}

int32_t ProcessGroups::split(const std::vector<int>& ranks) {
  TORCH_CHECK(isOpen(), "this process is in no group");
  const auto at = std::find(ranks.begin(), ranks.end(), state_->options.rank);
  // The same number in every process, whether it takes part or not: groups are made in the same order everywhere.
  const std::string prefix = state_->options.prefix + "/" + std::to_string(state_->groups.size());
  if (at == ranks.end()) {
    state_->groups.emplace_back();
    return -1;
  }
  state_->groups.push_back(state_->connect(prefix, static_cast<int>(at - ranks.begin()), static_cast<int>(ranks.size())));
  return static_cast<int32_t>(state_->groups.size()) - 1;
}

int64_t ProcessGroups::sizeOf(int32_t group) const {
  TORCH_CHECK(isOpen(), "this process is in no group");
  return state_->group(group).gloo->getSize();
}

std::vector<Traffic> ProcessGroups::traffic() const {
  std::vector<Traffic> all;
  if (!isOpen()) return all;
  for (const auto& [of, amount] : state_->counted) {
    all.push_back({of.second, of.first, state_->group(of.first).gloo->getSize(), amount.first, amount.second});
  }
  return all;
}

std::unique_ptr<Collective> ProcessGroups::allReduce(int32_t group, at::Tensor& x, bool largest) {
  std::vector<at::Tensor> tensors{x};
  c10d::AllreduceOptions options;
  options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
  auto work = state_->counting(group, "all-reduce", x).allreduce(tensors, options);
  return std::make_unique<StartedCollective>("all-reduce", std::move(work), std::move(tensors));
}

std::unique_ptr<Collective> ProcessGroups::reduce(int32_t group, at::Tensor& x, int root) {
  std::vector<at::Tensor> tensors{x};
  c10d::ReduceOptions options;
  options.rootRank = root;
  auto work = state_->counting(group, "reduce", x).reduce(tensors, options);
  return std::make_unique<StartedCollective>("reduce", std::move(work), std::move(tensors));
}

std::unique_ptr<Collective> ProcessGroups::reduceScatter(int32_t group, at::Tensor& out, at::Tensor& x) {
  return std::make_unique<StartedCollective>("reduce-scatter", state_->counting(group, "reduce-scatter", x)._reduce_scatter_base(out, x),
                                             std::vector<at::Tensor>{out, x});
}

std::unique_ptr<Collective> ProcessGroups::allGather(int32_t group, at::Tensor& out, at::Tensor& x) {
  return std::make_unique<StartedCollective>("all-gather", state_->counting(group, "all-gather", out)._allgather_base(out, x),
                                             std::vector<at::Tensor>{out, x});
}

std::unique_ptr<Collective> ProcessGroups::allToAll(int32_t group, at::Tensor& out, at::Tensor& x, std::vector<int64_t> receive,
                                                    std::vector<int64_t> send) {
  // Moved, not computed with: any dtype goes as one that Gloo has.
  at::Tensor to = out, from = x;
  if (x.scalar_type() == at::kBFloat16) to = out.view(at::kHalf), from = x.view(at::kHalf);
  auto work = state_->counting(group, "all-to-all", x).alltoall_base(to, from, receive, send);
  return std::make_unique<StartedCollective>("all-to-all", std::move(work), std::vector<at::Tensor>{out, x, to, from});
}

std::unique_ptr<Collective> ProcessGroups::broadcast(int32_t group, at::Tensor& x, int root) {
  std::vector<at::Tensor> tensors{x};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  auto work = state_->counting(group, "broadcast", x).broadcast(tensors, options);
  return std::make_unique<StartedCollective>("broadcast", std::move(work), std::move(tensors));
}

std::unique_ptr<Collective> ProcessGroups::barrier(int32_t group) {
  return std::make_unique<StartedCollective>("barrier", state_->group(group).gloo->barrier(), std::vector<at::Tensor>{});
}

void ProcessGroups::close() { state_.reset(); }

#else

struct ProcessGroups::State {};
ProcessGroups::ProcessGroups() = default;
ProcessGroups::~ProcessGroups() = default;
bool ProcessGroups::available() { return false; }
bool ProcessGroups::isOpen() const { return false; }

namespace {
[[noreturn]] void refuse() { TORCH_CHECK(false, "this build has no process groups: they take Linux and a libtorch with Gloo"); }
}  // namespace

void ProcessGroups::open(const GroupOptions&) { refuse(); }
int32_t ProcessGroups::split(const std::vector<int>&) { refuse(); }
int64_t ProcessGroups::sizeOf(int32_t) const { refuse(); }
std::vector<Traffic> ProcessGroups::traffic() const { return {}; }
std::unique_ptr<Collective> ProcessGroups::allReduce(int32_t, at::Tensor&, bool) { refuse(); }
std::unique_ptr<Collective> ProcessGroups::reduce(int32_t, at::Tensor&, int) { refuse(); }
std::unique_ptr<Collective> ProcessGroups::reduceScatter(int32_t, at::Tensor&, at::Tensor&) { refuse(); }
std::unique_ptr<Collective> ProcessGroups::allGather(int32_t, at::Tensor&, at::Tensor&) { refuse(); }
std::unique_ptr<Collective> ProcessGroups::allToAll(int32_t, at::Tensor&, at::Tensor&, std::vector<int64_t>, std::vector<int64_t>) {
  refuse();
}
std::unique_ptr<Collective> ProcessGroups::broadcast(int32_t, at::Tensor&, int) { refuse(); }
std::unique_ptr<Collective> ProcessGroups::barrier(int32_t) { refuse(); }
void ProcessGroups::close() {}

#endif

}  // namespace tfjs_torch
