// Switch's top-1 router on its logits: softmax, choice, place, balance and what is reported, by index.
#include <ATen/Parallel.h>

#include "cpu/simd.h"
#include "moe/moe.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr int64_t kTokensOfATask = 64;

[[gnu::always_inline]] inline float rounded(float x) {
  c10::BFloat16 rounded;
  fromFloat(x, rounded);
  return toFloat(rounded);
}

// Tokens whose softmax is computed together, one a lane: no sum goes across a vector.
constexpr int64_t kLanes = 16;

// Softmax, the first greatest probability and ln Z of up to 16 tokens. `room`: 16 values an expert.
[[gnu::always_inline]] inline void softmaxRows(const float* logits, float* probs, int64_t tokens, int64_t experts, bool isBfloat16,
                                               float* room, float* logZ, float* most, int32_t* best) {
  for (int64_t i = 0; i < kLanes; ++i) {
    const float* const row = logits + std::min(i, tokens - 1) * experts;
    for (int64_t e = 0; e < experts; ++e) room[e * kLanes + i] = row[e];
  }
  float top[kLanes], sum[kLanes], inverse[kLanes];
#pragma omp simd
  for (int64_t i = 0; i < kLanes; ++i) {
    top[i] = room[i];
    sum[i] = 0;
  }
  for (int64_t e = 1; e < experts; ++e) {
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) top[i] = room[e * kLanes + i] > top[i] ? room[e * kLanes + i] : top[i];
  }
  for (int64_t e = 0; e < experts; ++e) {
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) room[e * kLanes + i] = fastExp(room[e * kLanes + i] - top[i]);
  }
  // Sums of every 16th expert, one after the other.
  for (int64_t first = 0; first < std::min(experts, kLanes); ++first) {
    float part[kLanes] = {};
    for (int64_t e = first; e < experts; e += kLanes) {
#pragma omp simd
      for (int64_t i = 0; i < kLanes; ++i) part[i] += room[e * kLanes + i];
    }
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) sum[i] += part[i];
  }
#pragma omp simd
  for (int64_t i = 0; i < kLanes; ++i) {
    inverse[i] = 1.0f / sum[i];
    most[i] = -1;
    best[i] = 0;
  }
  for (int64_t e = 0; e < experts; ++e) {
    float* const p = room + e * kLanes;
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) p[i] *= inverse[i];
    if (isBfloat16) {
      for (int64_t i = 0; i < kLanes; ++i) p[i] = rounded(p[i]);
    }
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) {
      best[i] = p[i] > most[i] ? static_cast<int32_t>(e) : best[i];
      most[i] = p[i] > most[i] ? p[i] : most[i];
    }
  }
  for (int64_t i = 0; i < tokens; ++i) {
    for (int64_t e = 0; e < experts; ++e) probs[i * experts + e] = room[e * kLanes + i];
    logZ[i] = top[i] + std::log(sum[i]);
  }
}

Routing routeOnCpu(const at::Tensor& logits, const at::Tensor& real, const RouterOptions& o) {
  const int64_t tokens = logits.size(0), experts = logits.size(1);
  const int64_t ofGroup = tokens / o.groups, ofRow = tokens / o.rows, slots = experts * o.groups * o.capacity;
  const bool isBfloat16 = logits.scalar_type() == at::kBFloat16;
  const at::Tensor inFloat = logits.to(at::kFloat).contiguous(), mask = real.to(at::kFloat).contiguous();
  const auto f = at::TensorOptions().dtype(at::kFloat), i = at::TensorOptions().dtype(at::kInt);
  Routing r{at::empty({tokens}, f),
            at::empty({}, f),
            at::empty({}, f),
            at::empty({tokens}, i),
            at::empty({experts}, f),
            at::empty({}, f),
            at::empty({}, f),
            at::zeros({o.rows, experts}, f),
            at::zeros({experts, o.groups}, i),
            at::empty({tokens, experts}, f),
            at::empty({tokens}, i),
            at::empty({tokens}, f),
            at::zeros({o.groups, experts}, f)};
  const float* const in = inFloat.const_data_ptr<float>();
  const float* const isReal = mask.const_data_ptr<float>();
  float* const probs = r.probs.mutable_data_ptr<float>();
  float* const gate = r.gate.mutable_data_ptr<float>();
  float* const logZ = r.logZ.mutable_data_ptr<float>();
  float* const share = r.share.mutable_data_ptr<float>();
  float* const counts = r.counts.mutable_data_ptr<float>();
  int32_t* const expert = r.expert.mutable_data_ptr<int32_t>();
  int32_t* const slot = r.slot.mutable_data_ptr<int32_t>();
  int32_t* const occupied = r.occupied.mutable_data_ptr<int32_t>();
  const bool ignorePadding = o.ignorePadding;

  parallelSimd(tokens, kTokensOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    std::vector<float> room(experts * kLanes);
    float most[kLanes];
    int32_t best[kLanes];
    for (int64_t first = begin; first < end; first += kLanes) {
      const int64_t count = std::min(kLanes, end - first), at = first * experts;
      softmaxRows(in + at, probs + at, count, experts, isBfloat16, room.data(), logZ + first, most, best);
      for (int64_t i = 0; i < count; ++i) {
        const bool routed = !ignorePadding || isReal[first + i] != 0;
        expert[first + i] = routed ? best[i] : -1;
        gate[first + i] = routed ? probs[at + i * experts + best[i]] : 0.0f;
      }
    }
  });

  // Places go by token order: one thread, a few operations a token.
  std::vector<double> chosen(experts, 0);
  double routed = 0, kept = 0, gates = 0, squares = 0, balance = 0;
  for (int64_t g = 0; g < o.groups; ++g) {
    std::vector<int64_t> taken(experts, 0);
    std::vector<float> probability(experts, 0);
    int64_t count = 0;
    for (int64_t n = g * ofGroup; n < (g + 1) * ofGroup; ++n) {
      const int32_t e = expert[n];
      slot[n] = static_cast<int32_t>(slots);
      if (e < 0) continue;
      ++count;
      const int64_t position = taken[e]++;
      if (position < o.capacity) {
        slot[n] = static_cast<int32_t>(e * o.groups * o.capacity + g * o.capacity + position);
        ++occupied[e * o.groups + g];
        ++kept;
      }
      gates += gate[n];
      squares += static_cast<double>(logZ[n]) * logZ[n];
      if (isReal[n] != 0) counts[(n / ofRow) * experts + e] += 1;
      const float* const p = probs + n * experts;
      float* const sum = probability.data();
#pragma omp simd
      for (int64_t k = 0; k < experts; ++k) sum[k] += p[k];
    }
    routed += static_cast<double>(count);
    const double size = static_cast<double>(std::max<int64_t>(count, 1));
    for (int64_t e = 0; e < experts; ++e) {
      const double weight = static_cast<double>(taken[e]) / size / size * static_cast<double>(experts) / o.groups;
      share[g * experts + e] = static_cast<float>(weight);
      balance += weight * probability[e];
      chosen[e] += static_cast<double>(taken[e]);
    }
  }
  const double all = std::max(routed, 1.0);
  for (int64_t e = 0; e < experts; ++e) r.load.mutable_data_ptr<float>()[e] = static_cast<float>(chosen[e] / all);
  r.balance.fill_(balance);
  r.z.fill_(squares / all);
  r.dropped.fill_(1 - kept / all);
  r.confidence.fill_(gates / all);
  return r;
}

at::Tensor routedTokens(const at::Tensor& real, const RouterOptions& o) {
  return o.ignorePadding ? at::ne(real, 0) : at::ones_like(real, real.options().dtype(at::kBool));
}

// Choice and place of every token: probs, logZ, expert, gate, slot, occupied, and how many chose each expert, [G, E].
#ifdef TFJS_TORCH_CUDA
// In two kernels of our own, without a matrix of [N, E] choices.
at::Tensor placeByKernel(Routing& r, const at::Tensor& logits, const at::Tensor& realTokens, bool isBfloat16, const RouterOptions& o) {
  const int64_t tokens = logits.size(0), experts = logits.size(1);
  const at::Tensor inFloat = logits.contiguous(), real = realTokens.to(at::kFloat).contiguous();
  const auto f = inFloat.options(), i = f.dtype(at::kInt);
  r.probs = at::empty({tokens, experts}, f);
  r.logZ = at::empty({tokens}, f);
  r.gate = at::empty({tokens}, f);
  r.expert = at::empty({tokens}, i);
  r.slot = at::empty({tokens}, i);
  r.occupied = at::empty({experts, o.groups}, i);
  at::Tensor taken = at::empty({o.groups, experts}, i);
  const auto stream = currentStream(inFloat);
  int32_t* const expert = r.expert.mutable_data_ptr<int32_t>();
  cuda::routerSoftmax(inFloat.const_data_ptr<float>(), real.const_data_ptr<float>(), o.ignorePadding, isBfloat16, tokens, experts,
                      r.probs.mutable_data_ptr<float>(), expert, r.gate.mutable_data_ptr<float>(), r.logZ.mutable_data_ptr<float>(),
                      stream);
  cuda::routerPlaces(expert, o.groups, tokens / o.groups, experts, o.capacity, r.slot.mutable_data_ptr<int32_t>(),
                     r.occupied.mutable_data_ptr<int32_t>(), taken.mutable_data_ptr<int32_t>(), stream);
  return taken;
}
#endif
at::Tensor placeByAten(Routing& r, const at::Tensor& inFloat, const at::Tensor& real, bool isBfloat16, const RouterOptions& o) {
  const at::Tensor routed = routedTokens(real, o);
  const int64_t experts = inFloat.size(1), slots = experts * o.groups * o.capacity;
  r.probs = at::softmax(inFloat, 1);
  if (isBfloat16) r.probs = r.probs.to(at::kBFloat16).to(at::kFloat);
  r.logZ = at::logsumexp(inFloat, 1);
  const at::Tensor best = at::argmax(r.probs, 1);
  r.expert = at::where(routed, best, -1).to(at::kInt);
  r.gate = at::mul(r.probs.gather(1, best.unsqueeze(1)).squeeze(1), routed);
  const at::Tensor classes = at::arange(experts, best.options().dtype(at::kInt));
  const at::Tensor byGroup = at::eq(r.expert.unsqueeze(1), classes).to(at::kInt).reshape({o.groups, -1, experts});
  const at::Tensor before = at::mul(at::cumsum(byGroup, 1) - byGroup, byGroup).sum(2);
  const at::Tensor kept = at::logical_and(at::lt(before, o.capacity).reshape({-1}), routed);
  const at::Tensor group = at::arange(o.groups, best.options()).mul(o.capacity).unsqueeze(1);
  const at::Tensor place = at::add(at::add(before, group).reshape({-1}), best.mul(o.groups * o.capacity));
  r.slot = at::where(kept, place, slots).to(at::kInt);
  const at::Tensor taken = byGroup.sum(1).to(at::kInt);
  r.occupied = taken.clamp_max(o.capacity).t().contiguous();
  return taken;
}
at::Tensor place(Routing& r, const at::Tensor& logits, const at::Tensor& real, bool isBfloat16, const RouterOptions& o) {
#ifdef TFJS_TORCH_CUDA
  if (hasCudaKernels()) return placeByKernel(r, logits, real, isBfloat16, o);
#endif
  return placeByAten(r, logits, real, isBfloat16, o);
}

Routing routeOnCuda(const at::Tensor& logits, const at::Tensor& real, const RouterOptions& o) {
  const int64_t tokens = logits.size(0), experts = logits.size(1), slots = experts * o.groups * o.capacity;
  const bool isBfloat16 = logits.scalar_type() == at::kBFloat16;
  const at::Tensor inFloat = logits.to(at::kFloat);
  const at::Tensor routed = routedTokens(real, o);
  Routing r;
  const at::Tensor taken = place(r, inFloat, real, isBfloat16, o);
  const at::Tensor ofGroup = taken.to(at::kFloat);
  const at::Tensor size = ofGroup.sum(1, true).clamp_min(1);
  r.share = ofGroup.div(size).div(size).mul(static_cast<double>(experts) / o.groups);
  const at::Tensor summed = at::mul(r.probs, routed.unsqueeze(1)).reshape({o.groups, -1, experts}).sum(1);
  r.balance = at::mul(summed, r.share).sum();
  const at::Tensor all = routed.sum().clamp_min(1).to(at::kFloat);
  r.z = at::mul(at::square(r.logZ), routed).sum().div(all);
  r.load = ofGroup.sum(0).div(all);
  r.dropped = at::rsub(at::lt(r.slot, slots).sum().div(all), 1);
  r.confidence = r.gate.sum().div(all);
  // Whole numbers: in whatever order they are added the sum is the same.
  const at::Tensor row = at::arange(o.rows, r.expert.options().dtype(at::kLong)).repeat_interleave(tokens / o.rows, 0, tokens);
  const at::Tensor cell = at::add(row.mul(experts), r.expert.clamp_min(0));
  const at::Tensor counted = at::logical_and(at::ne(real, 0), at::ge(r.expert, 0)).to(at::kFloat);
  r.counts = at::zeros({o.rows * experts}, inFloat.options()).scatter_add(0, cell, counted).reshape({o.rows, experts});
  return r;
}

}  // namespace

Routing route(const at::Tensor& logits, const at::Tensor& real, const RouterOptions& o) {
  return onCuda(logits) ? routeOnCuda(logits, real, o) : routeOnCpu(logits, real, o);
}

at::Tensor routeGradient(const at::Tensor& dGate, const at::Tensor& dBalance, const at::Tensor& dZ, const at::Tensor& probs,
                         const at::Tensor& expert, const at::Tensor& logZ, const at::Tensor& share) {
  const int64_t tokens = probs.size(0), experts = probs.size(1), groups = share.size(0), ofGroup = tokens / groups;
  if (onCuda(probs)) {
    const at::Tensor routed = at::ge(expert, 0).to(at::kFloat);
    at::Tensor d = at::mul(share, dBalance).unsqueeze(1).expand({groups, ofGroup, experts}).reshape({tokens, experts});
    d = d.scatter_add(1, expert.clamp_min(0).to(at::kLong).unsqueeze(1), dGate.unsqueeze(1));
    const at::Tensor along = at::mul(d, probs).sum(1, true);
    const at::Tensor ofZ = at::mul(logZ, at::div(at::mul(dZ, 2), routed.sum().clamp_min(1))).unsqueeze(1);
    return at::mul(at::mul(probs, at::add(at::sub(d, along), ofZ)), routed.unsqueeze(1));
  }
  const at::Tensor dG = dGate.to(at::kFloat).contiguous();
  const float dB = dBalance.to(at::kFloat).item<float>(), d2Z = 2 * dZ.to(at::kFloat).item<float>();
  at::Tensor out = at::empty_like(probs);
  const float* const p0 = probs.const_data_ptr<float>();
  const float* const weight0 = share.const_data_ptr<float>();
  const float* const gates = dG.const_data_ptr<float>();
  const float* const z = logZ.const_data_ptr<float>();
  const int32_t* const chosen = expert.const_data_ptr<int32_t>();
  float* const out0 = out.mutable_data_ptr<float>();
  const auto routed = std::count_if(chosen, chosen + tokens, [](int32_t e) { return e >= 0; });
  const float perToken = d2Z / static_cast<float>(std::max<int64_t>(routed, 1));
  parallelSimd(tokens, kTokensOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    for (int64_t n = begin; n < end; ++n) {
      const float* const p = p0 + n * experts;
      const float* const weight = weight0 + (n / ofGroup) * experts;
      float* const dLogits = out0 + n * experts;
      if (chosen[n] < 0) {
        std::fill(dLogits, dLogits + experts, 0.0f);
        continue;
      }
      float along = 0;
#pragma omp simd reduction(+ : along)
      for (int64_t e = 0; e < experts; ++e) along += p[e] * weight[e];
      const float best = p[chosen[n]];
      const float shift = perToken * z[n] - dB * along - best * gates[n];
#pragma omp simd
      for (int64_t e = 0; e < experts; ++e) dLogits[e] = p[e] * (dB * weight[e] + shift);
      dLogits[chosen[n]] += best * gates[n];
    }
  });
  return out;
}

namespace {

// Results: gate, balance and z in one vector [N + 2], which carries the gradient; then what has none; then what the gradient needs.
void router(Call& c) {
  const int64_t groups = c.integer(), capacity = c.integer();
  const bool ignorePadding = c.flag();
  const Routing r = route(c.x(0), c.x(1), {groups, capacity, ignorePadding, c.integer()});
  c.result(at::cat({r.gate, r.balance.reshape({1}), r.z.reshape({1})}));
  for (const at::Tensor& tensor : {r.slot, r.occupied, r.load, r.dropped, r.confidence, r.counts, r.probs, r.expert, r.logZ, r.share}) {
    c.result(tensor);
  }
}

// Inputs d of the vector, probs, expert, logZ, share.
void routerGradient(Call& c) {
  const at::Tensor& d = c.x(0);
  const int64_t tokens = d.numel() - 2;
  c.result(routeGradient(d.narrow(0, 0, tokens), d.select(0, tokens), d.select(0, tokens + 1), c.x(1), c.x(2), c.x(3), c.x(4)));
}

const Operations ops = {
    {"TorchRouter(logits: float[groups * Q, E], real: real[groups * Q]; groups: int >= 1, capacity: int >= 1, ignorePadding: bool, "
     "sequences: int >= 1) -> parts: float32[groups * Q + 2], slot: int32[groups * Q], occupied: int32[E, groups], load: float32[E], "
     "dropped: float32[], confidence: float32[], counts: float32[sequences, E], probs: float32[groups * Q, E], expert: int32[groups * Q], "
     "logZ: float32[groups * Q], share: float32[groups, E] where E >= 1, groups * Q = sequences * R, E * groups * capacity <= 2147483647",
     router},
    {"TorchRouterGrad(dy: float[G * Q + 2], probs: contiguous float32[G * Q, E], expert: contiguous int32[G * Q] in [-1, E), logZ: "
     "contiguous float32[G * Q], share: contiguous float32[G, E]) -> dLogits: float32[G * Q, E] where G >= 1, E >= 1",
     routerGradient},
};

}  // namespace

}  // namespace tfjs_torch
