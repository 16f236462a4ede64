// The experts' feed-forward layers. On the CPU expert by expert: its weights are brought to the products' width when it is
// its turn and stay in the cache until it is done, and slots without a token are left out.
#include <c10/core/InferenceMode.h>

#include <numeric>

#include "cpu/tasks.h"
#include "moe/expert_products.h"
#include "moe/moe.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/activation.h"

namespace tfjs_torch {

namespace {

constexpr int64_t kRowsOfATask = 16;

// The slots of each expert that hold a token, in order.
std::vector<std::vector<int64_t>> slotsInUse(const at::Tensor& occupied, int64_t experts, int64_t slots) {
  std::vector<std::vector<int64_t>> rows(experts);
  if (!occupied.defined()) {
    for (auto& own : rows) {
      own.resize(slots);
      std::iota(own.begin(), own.end(), 0);
    }
    return rows;
  }
  const at::Tensor table = occupied.contiguous();
  const int64_t groups = table.size(1), capacity = slots / groups;
  const int32_t* const count = table.const_data_ptr<int32_t>();
  for (int64_t e = 0; e < experts; ++e) {
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t used = std::min<int64_t>(count[e * groups + g], capacity);
      for (int64_t i = 0; i < used; ++i) rows[e].push_back(g * capacity + i);
    }
  }
  return rows;
}

// Whether these are an expert's first slots, as they are with one group: then nothing is copied.
bool areFirst(const std::vector<int64_t>& rows) { return rows.empty() || rows.back() + 1 == static_cast<int64_t>(rows.size()); }

// Rows of x in the products' width: themselves, or copied to `room`.
at::Tensor rowsOf(const at::Tensor& x, const std::vector<int64_t>& rows, const at::Tensor& room) {
  const auto count = static_cast<int64_t>(rows.size());
  if (areFirst(rows) && x.scalar_type() == room.scalar_type()) return x.narrow(0, 0, count);
  const at::Tensor copied = room.narrow(0, 0, count);
  gatherRows(x, rows, copied);
  return copied;
}

// Where those rows of a result are computed, and what brings them there and makes all others 0.
at::Tensor roomOfRows(const at::Tensor& result, const std::vector<int64_t>& rows, const at::Tensor& room) {
  const auto count = static_cast<int64_t>(rows.size());
  return areFirst(rows) && result.scalar_type() == room.scalar_type() ? result.narrow(0, 0, count) : room.narrow(0, 0, count);
}
void finishRows(const at::Tensor& computed, const std::vector<int64_t>& rows, const at::Tensor& result) {
  if (computed.const_data_ptr() != result.const_data_ptr()) return scatterRows(computed, rows, result);
  const int64_t count = computed.size(0);
  result.narrow(0, count, result.size(0) - count).zero_();
}

// Runs body(expert, scratch) for every expert: side by side, fullest first, where there are enough of them to keep every
// thread busy; else one after the other, each with all threads.
struct Scratch {
  at::Tensor weights, more, a, b, c, d, e;
};
template <typename Body>
void forEachExpert(const std::vector<std::vector<int64_t>>& rows, std::vector<Scratch>& scratch, const Body& body) {
  const auto experts = static_cast<int64_t>(rows.size());
  if (scratch.size() == 1) {
    for (int64_t e = 0; e < experts; ++e) body(e, scratch[0]);
    return;
  }
  std::vector<int64_t> order(experts);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return rows[a].size() > rows[b].size(); });
  forTasks(experts, [&](int64_t worker, int64_t at) {
    const c10::InferenceMode inference;  // a thread's own
    body(order[at], scratch[worker]);
  });
}

int64_t workersFor(int64_t experts) { return experts >= 2 * workersHere() ? workersHere() : 1; }

struct Sizes {
  int64_t experts, slots, width, hidden;
  at::ScalarType type;  // of the products
  Sizes(const at::Tensor& x, const Experts& w)
      : experts(x.size(0)),
        slots(x.size(1)),
        width(x.size(2)),
        hidden(w.out.size(2)),
        // One call of the library an expert would cost more than it multiplies: it takes bfloat16 operands apart and keeps a plan for each
        // number of rows.
        type(hasOwnGemm(x.scalar_type()) ? x.scalar_type() : at::kFloat) {}

  std::vector<Scratch> scratch(bool backward) const {
    std::vector<Scratch> all(workersFor(experts));
    const auto options = at::TensorOptions().dtype(type);
    for (auto& s : all) {
      s.weights = at::empty({hidden, width}, options);
      if (backward) s.more = at::empty({hidden, width}, options);
      s.a = at::empty({slots, width}, options);
      s.b = at::empty({slots, backward ? width : hidden}, options);
      s.c = at::empty({slots, hidden}, options);
      s.d = at::empty({slots, hidden}, options);
      if (backward) s.e = at::empty({slots, hidden}, options);
    }
    return all;
  }
};

std::vector<at::Tensor> forwardByAten(const at::Tensor& x, const Experts& w, const Dropout& dropout) {
  const auto in = [&](const at::Tensor& weight) { return weight.to(x.scalar_type()).transpose(1, 2); };
  std::vector<at::Tensor> result(1);
  for (const at::Tensor& weight : w.in) result.push_back(at::bmm(x, in(weight)));
  at::Tensor hidden = w.in.size() == 1 ? at::relu(result[1]) : at::mul(at::gelu(result[1], "tanh"), result[2]);
  hidden = dropped(hidden, dropout);
  result[0] = at::bmm(hidden, in(w.out));
  return result;
}

std::vector<at::Tensor> gradientByAten(const at::Tensor& d, const at::Tensor& x, const Experts& w, const std::vector<at::Tensor>& pre,
                                       const Dropout& dropout) {
  const auto type = x.scalar_type();
  at::Tensor dHidden = at::bmm(d, w.out.to(type));
  dHidden = dropped(dHidden, dropout);
  std::vector<at::Tensor> dPre;
  at::Tensor hidden;
  if (w.in.size() == 1) {
    hidden = at::relu(pre[0]);
    dPre = {at::mul(dHidden, at::gt(pre[0], 0))};
  } else {
    const at::Tensor gelu = at::gelu(pre[0], "tanh");
    hidden = at::mul(gelu, pre[1]);
    dPre = {at::gelu_backward(at::mul(dHidden, pre[1]), pre[0], "tanh"), at::mul(dHidden, gelu)};
  }
  hidden = dropped(hidden, dropout);
  std::vector<at::Tensor> result = {at::zeros_like(x)};
  for (size_t i = 0; i < w.in.size(); ++i) {
    result[0].baddbmm_(dPre[i], w.in[i].to(type));
    result.push_back(at::bmm(dPre[i].transpose(1, 2), x));
  }
  result.push_back(at::bmm(d.transpose(1, 2), hidden));
  return result;
}

}  // namespace

std::vector<at::Tensor> expertFeedForward(const at::Tensor& slots, const at::Tensor& occupied, const Experts& weights,
                                          const Dropout& dropout) {
  const at::Tensor x = slots.contiguous();
  if (onCuda(x)) return forwardByAten(x, weights, dropout);
  const DropoutRows entries(dropout);
  const Sizes size(x, weights);
  const auto rows = slotsInUse(occupied, size.experts, size.slots);
  const bool gated = weights.in.size() == 2;
  std::vector<at::Tensor> result = {at::empty_like(x)};
  for (size_t i = 0; i < weights.in.size(); ++i) {
    result.push_back(at::empty({size.experts, size.slots, size.hidden}, x.options()));
  }
  std::vector<Scratch> scratch = size.scratch(false);
  forEachExpert(rows, scratch, [&](int64_t e, Scratch& s) {
    const auto n = static_cast<int64_t>(rows[e].size());
    if (n == 0) {
      result[0][e].zero_();
      return;
    }
    const at::Tensor in = rowsOf(x[e], rows[e], s.a), hidden = s.b.narrow(0, 0, n), y = result[0][e];
    std::vector<at::Tensor> pre;
    for (size_t i = 0; i < weights.in.size(); ++i) {
      const at::Tensor kept = result[i + 1][e].narrow(0, 0, n);
      const bool same = kept.scalar_type() == size.type;
      pre.push_back(same ? kept : (i == 0 ? s.c : s.d).narrow(0, 0, n));
      timesTransposed(pre[i], in, weights.in[i][e], s.weights);
      if (!same) convert(pre[i], kept);
    }
    withType(hidden, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const T* const gate = pre[0].const_data_ptr<T>();
      const T* const value = gated ? pre[1].const_data_ptr<T>() : nullptr;
      T* const out = hidden.mutable_data_ptr<T>();
      const int64_t width = size.hidden, firstSlot = e * size.slots;
      const int64_t* const slotOf = rows[e].data();
      parallelSimd(n, kRowsOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t i = begin; i < end; ++i) {
          entries.forPieces((firstSlot + slotOf[i]) * width, width,
                            [=](int64_t first, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
                              const int64_t at = i * width + first;
                              activate(gate + at, value == nullptr ? nullptr : value + at, out + at, last - first, kept);
                            });
        }
      });
    });
    const at::Tensor out = roomOfRows(y, rows[e], s.a);
    timesTransposed(out, hidden, weights.out[e], s.weights);
    finishRows(out, rows[e], y);
  });
  return result;
}

std::vector<at::Tensor> expertFeedForwardGradient(const at::Tensor& d, const at::Tensor& slots, const at::Tensor& occupied,
                                                  const Experts& weights, const std::vector<at::Tensor>& pre, const Dropout& dropout) {
  const at::Tensor x = slots.contiguous(), dy = d.to(x.scalar_type()).contiguous();
  if (onCuda(x)) return gradientByAten(dy, x, weights, pre, dropout);
  const DropoutRows entries(dropout);
  const Sizes size(x, weights);
  const auto rows = slotsInUse(occupied, size.experts, size.slots);
  const bool gated = weights.in.size() == 2;
  std::vector<at::Tensor> result = {at::empty_like(x)};
  for (const at::Tensor& weight : weights.in) result.push_back(emptyGradient(weight, x.options()));
  result.push_back(emptyGradient(weights.out, x.options()));
  std::vector<Scratch> scratch = size.scratch(true);
  forEachExpert(rows, scratch, [&](int64_t e, Scratch& s) {
    const auto n = static_cast<int64_t>(rows[e].size());
    const at::Tensor in = rowsOf(x[e], rows[e], s.a);
    const at::Tensor dOut = rowsOf(dy[e], rows[e], s.b);
    const at::Tensor hidden = s.d.narrow(0, 0, n), dHidden = s.c.narrow(0, 0, n), dValue = s.e.narrow(0, 0, n), dx = result[0][e];
    times(dHidden, dOut, weights.out[e], false, s.weights);
    withType(hidden, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const auto inFloat = [&](size_t i, const at::Tensor& scratchOf) {
        const at::Tensor kept = pre[i][e].narrow(0, 0, n);
        if (kept.scalar_type() == size.type) return kept;
        convert(kept, scratchOf);
        return scratchOf;
      };
      const at::Tensor gate = inFloat(0, hidden), value = gated ? inFloat(1, dValue) : at::Tensor();
      const T* const g = gate.const_data_ptr<T>();
      const T* const v = gated ? value.const_data_ptr<T>() : nullptr;
      T* const dh = dHidden.mutable_data_ptr<T>();
      T* const h = hidden.mutable_data_ptr<T>();
      T* const dv = dValue.mutable_data_ptr<T>();
      const int64_t width = size.hidden, firstSlot = e * size.slots;
      const int64_t* const slotOf = rows[e].data();
      parallelSimd(n, kRowsOfATask, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t i = begin; i < end; ++i) {
          entries.forPieces(
              (firstSlot + slotOf[i]) * width, width, [=](int64_t first, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
                const int64_t at = i * width + first;
                activateGradient(g + at, v == nullptr ? nullptr : v + at, dh + at, h + at, dh + at, dv + at, last - first, kept);
              });
        }
      });
    });
    weightGradient(result.back(), e, dOut, hidden, s.more);
    weightGradient(result[1], e, dHidden, in, s.more);
    if (gated) weightGradient(result[2], e, dValue, in, s.more);
    const at::Tensor dIn = roomOfRows(dx, rows[e], s.b);
    times(dIn, dHidden, weights.in[0][e], false, s.weights);
    if (gated) times(dIn, dValue, weights.in[1][e], true, s.weights);
    finishRows(dIn, rows[e], dx);
  });
  return result;
}

namespace {

// Inputs from `at` on: one or two weights in, the weight out.
Experts weightsAt(const Call& c, size_t at) {
  Experts weights{{c.x(at).contiguous()}, c.x(at + 2).contiguous()};
  if (c.has(at + 1)) weights.in.push_back(c.x(at + 1).contiguous());
  return weights;
}

// Inputs slots, occupied, weights.
void forward(Call& c) {
  for (const at::Tensor& tensor : expertFeedForward(c.x(0), c.x(1), weightsAt(c, 2), readDropout(c, c.x(5)))) c.result(tensor);
}

// Inputs dy, slots, occupied, weights, pre-activations.
void gradient(Call& c) {
  const Experts weights = weightsAt(c, 3);
  std::vector<at::Tensor> pre = {c.x(6)};
  if (c.has(7)) pre.push_back(c.x(7));
  for (const at::Tensor& tensor : expertFeedForwardGradient(c.x(0), c.x(1), c.x(2), weights, pre, readDropout(c, c.x(8)))) {
    c.result(tensor);
  }
}

const Operations ops = {
    {"TorchExpertFeedForward(slots: float[E, G * P, D], occupied: int32[E, G] in [0, P], wi0: float[E, F, D], wi1?: float[E, F, D], wo: "
     "float[E, D, F], step?: int32[1]; rate: number, scale: number, key: ints[2] in [0, 4294967295]) -> y: slots.dtype[E, G * P, D], pre0: "
     "slots.dtype[E, G * P, F], pre1 if wi1: slots.dtype[E, G * P, F] where G >= 1, "
     "P >= 1, D >= 1, F >= 1",
     forward},
    {"TorchExpertFeedForwardGrad(dy: float[E, G * P, D], slots: float[E, G * P, D], occupied: int32[E, G] in [0, P], wi0: float[E, F, D], "
     "wi1?: float[E, F, D], wo: float[E, D, F], pre0: slots.dtype[E, G * P, F], pre1 if wi1: slots.dtype[E, G * P, F], step?: int32[1]; "
     "rate: number, "
     "scale: number, key: ints[2] in [0, 4294967295]) -> dSlots: "
     "slots.dtype[E, G * P, D], dWi0: float[E, F, D], dWi1 if wi1: float[E, F, D], dWo: float[E, D, F] where G >= 1, P >= 1, D >= 1, F >= "
     "1",
     gradient},
};

}  // namespace

}  // namespace tfjs_torch
