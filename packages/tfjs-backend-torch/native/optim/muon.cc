// Muon over all matrices in one call, in place. Matrices of a shape are orthogonalized together: few products, each of them large enough.
#include <map>

#include "optim/parameters.h"
#include "runtime/device.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

// src/ops/optimizers/muon.ts has the same.
constexpr double kA = 3.4445, kB = -4.775, kC = 2.0315, kEpsilon = 1e-7;
constexpr int kIterations = 5;
// So many entries are orthogonalized together at most: what that takes is a few times as much memory.
constexpr int64_t kEntriesAtOnce = 1 << 24;

struct MuonOptions {
  double momentum;
  bool nesterov;
  double weightDecay;
  bool matchRms;
};

// U·S'·Vᵀ of each matrix U·S·Vᵀ of a stack, S' about 1.
at::Tensor orthogonalized(const at::Tensor& matrices) {
  const bool isTall = matrices.size(1) > matrices.size(2);
  at::Tensor x = at::div(matrices, at::linalg_vector_norm(matrices, 2, {1, 2}, true).clamp_min(kEpsilon));
  if (isTall) x = x.transpose(1, 2).contiguous();
  for (int i = 0; i < kIterations; ++i) {
    const at::Tensor gram = at::bmm(x, x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, kB, kC), x, kA, 1);
  }
  return isTall ? x.transpose(1, 2) : x;
}

void muon(const OptimizerCall& call, const MuonOptions& o) {
  const bool isCuda = onCuda(call.rates);
  const at::Tensor isFinite = at::isfinite(call.guard).all();
  if (!isCuda && !isFinite.item<bool>()) return;
  const at::Tensor learningRate = call.rates.select(0, 0), scale = call.rates.select(0, 1);
  // On a device what must not change is written over itself: nothing is read back.
  const auto write = [&](at::Tensor to, const at::Tensor& from) { to.copy_(isCuda ? at::where(isFinite, from, to) : from); };

  const auto update = [&](const std::vector<const OptimizedParameter*>& parameters, int64_t rows, int64_t columns) {
    std::vector<at::Tensor> directions;
    for (const OptimizedParameter* p : parameters) {
      const Dims shape = {p->stack, rows, columns};
      const at::Tensor g = at::mul(p->gradient.to(at::kFloat).reshape(shape), scale);
      at::Tensor mean = p->moments[0].view(shape);
      write(mean, at::lerp(mean, g, 1 - o.momentum));
      directions.push_back(o.nesterov ? at::lerp(g, mean, o.momentum) : mean);
    }
    const at::Tensor all = orthogonalized(directions.size() == 1 ? directions[0] : at::cat(directions));
    const double longest = static_cast<double>(std::max(rows, columns)), ratio = static_cast<double>(rows) / static_cast<double>(columns);
    const at::Tensor size = at::mul(learningRate, o.matchRms ? 0.2 * std::sqrt(longest) : std::sqrt(std::max(1.0, ratio)));
    const at::Tensor keep = at::rsub(at::mul(learningRate, o.weightDecay), 1);
    int64_t at = 0;
    for (const OptimizedParameter* p : parameters) {
      const at::Tensor value = p->value.view({p->stack, rows, columns});
      write(value, at::sub(at::mul(value, keep), at::mul(all.narrow(0, at, p->stack), size)));
      at += p->stack;
    }
  };

  std::map<std::pair<int64_t, int64_t>, std::vector<const OptimizedParameter*>> byShape;
  for (const OptimizedParameter& p : call.parameters) {
    if (p.value.numel() > 0) byShape[{p.rows, p.columns}].push_back(&p);
  }
  for (const auto& [shape, parameters] : byShape) {
    std::vector<const OptimizedParameter*> together;
    int64_t entries = 0;
    for (const OptimizedParameter* p : parameters) {
      if (entries > 0 && entries + p->value.numel() > kEntriesAtOnce) {
        update(together, shape.first, shape.second);
        together.clear();
        entries = 0;
      }
      together.push_back(p);
      entries += p->value.numel();
    }
    update(together, shape.first, shape.second);
  }
}

// Rates: learning rate, the gradients' scale. Moments: the gradients' running mean.
void muonOp(Call& c) {
  MuonOptions o;
  o.momentum = c.number();
  o.nesterov = c.flag();
  o.weightDecay = c.number();
  o.matchRms = c.flag();
  muon(optimizerCall(c, 1), o);
}

const Operations ops = {
    {"TorchMuon(rates: float32[2], guard: float32[...], parameters...: float[...]; momentum: number, nesterov: bool, weightDecay: number, "
     "matchRms: bool, layout: ints >= 0) -> nothing",
     muonOp},
};

}  // namespace

}  // namespace tfjs_torch
