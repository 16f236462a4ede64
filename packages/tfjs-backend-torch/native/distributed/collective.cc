// Collectives as an operation: they block JavaScript's thread until every rank has come, so that a layer's forward and backward pass can
// have them.
#include "distributed/process_groups.h"
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

enum Kind : int64_t { kSum = 0, kLargest = 1, kExchange = 2, kGather = 3 };

// Group -1 is this process alone. → sum, largest: x's shape; exchange: as many rows of axis 0 go to each rank as come from it;
// gather: [ranks, ...]
void collective(Call& c) {
  const auto kind = static_cast<Kind>(c.integer());
  const auto group = static_cast<int32_t>(c.integer());
  at::Tensor x = c.x(0);
  if (group < 0) return c.result(kind == kGather ? x.unsqueeze(0) : x.clone());
  ProcessGroups& groups = *ProcessGroups::shared();
  const int64_t size = groups.sizeOf(group);
  if (kind == kSum || kind == kLargest) {
    at::Tensor sum = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::Contiguous)).copy_(x);
    groups.allReduce(group, sum, kind == kLargest)->wait();
    return c.result(sum);
  }
  x = x.contiguous();
  if (kind == kExchange) {
    TORCH_CHECK(x.dim() > 0 && x.size(0) % size == 0, x.sizes(), " does not have as many rows for each of ", size, " ranks");
    at::Tensor out = at::empty_like(x);
    groups.allToAll(group, out, x, {}, {})->wait();
    return c.result(out);
  }
  Dims shape{size};
  shape.append(x.sizes().begin(), x.sizes().end());
  at::Tensor out = at::empty({size * x.numel()}, x.options()), flat = x.view({-1});
  groups.allGather(group, out, flat)->wait();
  c.result(out.view(shape));
}

const Operations ops = {
    {"TorchCollective(x: any[...]; kind: int in [0, 3], group: int >= -1) -> y", collective},
};

}  // namespace
}  // namespace tfjs_torch
