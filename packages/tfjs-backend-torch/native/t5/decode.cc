// A decoder's next position for each row of a batch. There are as many tokens as rows, and all weights are read for them: the products
// are bound by the memory that these come from.
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/gemm/skinny/skinny_gemm.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/activation.h"

namespace tfjs_torch {
namespace {

// src/ops/decode/cachedAttention.ts has the same.
constexpr float kMasked = -1e9f;

// x [n, D]·Wᵀ of W [O, D], float32.
at::Tensor product(const at::Tensor& x, const at::Tensor& w) {
  const int64_t n = x.size(0), outputs = w.size(0), inputs = w.size(1);
  if (onCuda(x) || !hasFewRows(n, outputs, inputs)) return at::mm(x, w.t());
  const at::Tensor rows = x.contiguous(), weight = w.contiguous(), y = at::empty({n, outputs}, x.options());
  const float *const from = rows.const_data_ptr<float>(), *const weights = weight.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  constexpr int64_t kBlock = 64;
  // Such a block takes some ten microseconds: fewer are not worth another thread.
  const int64_t blocks = outputs / kBlock;
  forTasks(blocks, blocks < 4 ? 1 : workersHere(), [&](int64_t, int64_t block) {
    std::vector<float> part(n * kBlock);
    fewRowsTimesTransposed(from, weights + block * kBlock * inputs, n, kBlock, inputs, part.data());
    for (int64_t i = 0; i < n; ++i) std::copy_n(part.data() + i * kBlock, kBlock, to + i * outputs + block * kBlock);
  });
  return y;
}

[[gnu::always_inline]] inline float dot(const float* x, const float* y, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// Σ softmax(q·k + bias)·v of one query a row over the first `length` positions of keys and values [N, C, A] -> [N, A]. The bias is by
// position and head [length, H], or by row and position [N, length], added to kMasked where 0.
at::Tensor attend(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, int64_t heads, int64_t length,
                  const at::Tensor& position, const at::Tensor& real) {
  const int64_t rows = query.size(0), inner = query.size(1), width = inner / heads, capacity = keys.size(1);
  TORCH_CHECK(inner % heads == 0, "heads of equal width expected, not ", heads, " of ", inner, " columns");
  if (onCuda(query)) {
    const auto byHead = [&](const at::Tensor& x) {
      return x.narrow(1, 0, length).reshape({rows, length, heads, width}).permute({0, 2, 1, 3});
    };
    at::Tensor scores = at::matmul(query.reshape({rows, heads, 1, width}), byHead(keys).transpose(2, 3));
    scores = position.defined() ? scores + position.t().reshape({1, heads, 1, length})
                                : scores + ((1 - real) * kMasked).reshape({rows, 1, 1, length});
    return at::matmul(at::softmax(scores, -1), byHead(values)).reshape({rows, inner});
  }
  const at::Tensor q = query.contiguous(), context = at::empty({rows, inner}, q.options());
  const at::Tensor byPosition = position.defined() ? position.t().contiguous() : at::Tensor();
  const at::Tensor byRow = position.defined() ? at::Tensor() : ((1 - real) * kMasked).contiguous();
  const at::Tensor bias = position.defined() ? byPosition : byRow;
  const float *const qs = q.const_data_ptr<float>(), *const ks = keys.const_data_ptr<float>(), *const vs = values.const_data_ptr<float>();
  const float* const biases = bias.const_data_ptr<float>();
  float* const out = context.mutable_data_ptr<float>();
  const bool isByHead = position.defined();
  forTasks(rows * heads, workersFor(rows * length * inner), [&](int64_t, int64_t task) {
    const int64_t row = task / heads, head = task % heads, at = row * capacity * inner + head * width;
    std::vector<float> scores(length);
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
      const float* const given = biases + (isByHead ? head : row) * length;
      float most = -std::numeric_limits<float>::infinity(), sum = 0;
      for (int64_t j = 0; j < length; ++j) {
        scores[j] = dot(qs + row * inner + head * width, ks + at + j * inner, width) + given[j];
        most = std::max(most, scores[j]);
      }
      float* const to = out + row * inner + head * width;
      std::fill_n(to, width, 0.0f);
      for (int64_t j = 0; j < length; ++j) {
        const float share = fastExp(scores[j] - most);
        const float* const value = vs + at + j * inner;
        sum += share;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) to[i] += share * value[i];
      }
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) to[i] /= sum;
    });
  });
  return context;
}

// x [N, D], q, k, v, o, keys and values of the positions before (left out for the first), bias by distance [L, H] -> y [N, D], keys,
// values with room for more than L positions: those given, written to at L - 1, where they have it.
void attendBefore(Call& c) {
  const at::Tensor& x = c.x(0);
  const at::Tensor& position = c.x(7);
  const int64_t heads = position.size(1), length = position.size(0), inner = c.x(1).size(0);
  const auto withRoom = [&](size_t i) {
    if (c.has(i) && c.x(i).size(1) >= length) return c.x(i);
    at::Tensor larger = at::zeros({x.size(0), std::max<int64_t>(2 * length, 32), inner}, x.options());
    if (c.has(i)) larger.narrow(1, 0, length - 1).copy_(c.x(i).narrow(1, 0, length - 1));
    return larger;
  };
  const at::Tensor keys = withRoom(5), values = withRoom(6);
  keys.select(1, length - 1).copy_(product(x, c.x(2)));
  values.select(1, length - 1).copy_(product(x, c.x(3)));
  c.result(product(attend(product(x, c.x(1)), keys, values, heads, length, position, {}), c.x(4)));
  c.result(keys);
  c.result(values);
}

// x [N, D], q, o, keys and values [N, S, A], real [N, S] -> y [N, D]
void attendMemory(Call& c) {
  const at::Tensor real = c.x(5).to(at::kFloat);
  c.result(product(attend(product(c.x(0), c.x(1)), c.x(3), c.x(4), c.integer(), real.size(1), {}, real), c.x(2)));
}

// x [N, D], wi [F, D] once (ReLU) or twice (gated GELU), wo [D, F] -> y [N, D]
void feedForward(Call& c) {
  const at::Tensor gate = product(c.x(0), c.x(1));
  if (!c.has(2)) return c.result(product(at::relu(gate), c.x(3)));
  const at::Tensor value = product(c.x(0), c.x(2));
  if (onCuda(gate)) return c.result(product(at::gelu(gate, "tanh") * value, c.x(3)));
  const at::Tensor hidden = at::empty_like(gate);
  const float *const g = gate.const_data_ptr<float>(), *const v = value.const_data_ptr<float>();
  float* const h = hidden.mutable_data_ptr<float>();
  simd([&]() TFJS_TORCH_INLINE_LAMBDA { activate(g, v, h, gate.numel(), Kept()); });
  c.result(product(hidden, c.x(3)));
}

const Operations ops = {
    {"TorchAttendBefore(x: contiguous float32[N, D], q: float32[A, D], k: float32[A, D], v: float32[A, D], o: float32[D, A], keys?: "
     "contiguous float32[N, C, A], values if keys: contiguous float32[N, C, A], position: float32[L, H]) -> y: float32[N, D], keys: "
     "float32, values: float32 where N >= 1, L >= 1, H >= 1, A >= 1, D >= 1",
     attendBefore},
    {"TorchAttendMemory(x: contiguous float32[N, D], q: float32[A, D], o: float32[D, A], keys: contiguous float32[N, S, A], values: "
     "contiguous float32[N, S, A], real: real[N, S]; heads: int >= 1) -> y: float32[N, D] where N >= 1, S >= 1, A >= 1, D >= 1",
     attendMemory},
    {"TorchDecodeFeedForward(x: contiguous float32[N, D], wi0: float32[F, D], wi1?: float32[F, D], wo: float32[D, F]) -> y: float32[N, D] "
     "where N >= 1, D >= 1, F >= 1",
     feedForward},
};

}  // namespace

}  // namespace tfjs_torch
