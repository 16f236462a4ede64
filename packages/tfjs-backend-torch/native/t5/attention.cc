// T5's attention with a bias by relative position, forward and backward. Projections are one product over stacked weights; the heads
// are t5/attention_heads.h's on the CPU, cuda/attention.cc's on CUDA.
#include <tuple>

#include "cpu/gemm/matmul.h"
#include "cuda/layers.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/attention_heads.h"

namespace tfjs_torch {
namespace {

// Added to a score that must not count; src/ops/attention.ts has the same.
constexpr float kMasked = -1e9f;

AttentionBias readBias(const at::Tensor& position_LH, const at::Tensor& real_BS, const Dropout& dropout, const AttentionShape& s,
                       const at::TensorOptions& options) {
  const auto inFloat = options.dtype(at::kFloat);
  return {position_LH.defined() ? position_LH.to(at::kFloat).t().contiguous() : at::zeros({s.H, s.distances()}, inFloat),
          real_BS.defined() ? ((1 - real_BS.to(at::kFloat)) * kMasked).contiguous() : at::zeros({s.B, s.S}, inFloat), DropoutRows(dropout)};
}

// What both directions are given: query [B, T, D], memory [B, S, D] in cross-attention, the bias's parts where there are any.
struct Operands {
  bool cross;
  at::Tensor query, memory, position, real;
  int64_t heads;
  bool causal;
  Dropout dropout;
  Operands(Call& c, size_t first, size_t step)
      : cross(c.has(first + 1)),
        query(c.x(first).contiguous()),
        memory(cross ? c.x(first + 1).contiguous() : query),
        position(c.x(first + 2)),
        real(c.x(first + 3)),
        heads(c.integer()),
        causal(c.flag()),
        dropout(readDropout(c, c.x(step))) {}
  // The probabilities' factors, where entries are dropped.
  at::Tensor factors(const AttentionShape& s) const {
    return dropout.isOn() ? dropoutFactors(dropout, {s.B, s.H, s.T, s.S}, query.options()) : at::Tensor();
  }
  AttentionShape shape(int64_t inner) const { return {query.size(0), query.size(1), memory.size(1), heads, inner / heads, causal}; }
};

at::Tensor rowsOf(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {
  return product(rowsOf(x), weight.t()).reshape({x.size(0), x.size(1), weight.size(0)});
}

// operands, then q, k, v [H·K, D], o [D, H·K] -> y [B, T, D], then what the gradient needs: projections and stacked input weights (q·k·v,
// or q and k·v across), values
//      attended to [B, T, H·K], row statistics [2, B, H, T], output weight
void attention(Call& c) {
  const Operands in(c, 0, 8);
  const at::ScalarType type = in.query.scalar_type();
  const at::Tensor &wq = c.x(4), &wk = c.x(5), &wv = c.x(6);
  const at::Tensor wo = stackWeights({c.x(7)}, type);
  const AttentionShape s = in.shape(wq.size(0));
  const int64_t inner = s.inner();
  const at::Tensor wIn = in.cross ? stackWeights({wq}, type) : stackWeights({wq, wk, wv}, type);
  const at::Tensor wMemory = in.cross ? stackWeights({wk, wv}, type) : wIn;
  const at::Tensor q = project(in.query, wIn);
  const at::Tensor kv = in.cross ? project(in.memory.to(type), wMemory) : q;
  const int64_t key = in.cross ? 0 : inner;
  at::Tensor ctx, stats;
  if (onCuda(q)) {
    std::tie(ctx, stats) = attendOnCuda({s, q, kv, key, in.position, in.real, in.factors(s)});
  } else {
    const AttentionBias bias = readBias(in.position, in.real, in.dropout, s, in.query.options());
    const at::Tensor ofQueries = inFastWidth(q), ofKeys = in.cross ? inFastWidth(kv) : ofQueries;
    ctx = at::empty({s.B, s.T, inner}, ofQueries.options());
    stats = at::empty({2, s.B, s.H, s.T}, q.options().dtype(at::kFloat));
    float* const most = stats.mutable_data_ptr<float>();
    withType(ctx, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      attendHeads<T>(s, heads<T>(ofQueries, 0, s.K), heads<T>(ofKeys, key, s.K), heads<T>(ofKeys, key + inner, s.K), heads<T>(ctx, 0, s.K),
                     bias, most, most + s.B * s.H * s.T);
    });
    ctx = ctx.to(type);
  }
  c.result(project(ctx, wo));
  c.result(ctx);
  c.result(stats);
  c.result(wo);
  c.result(q);
  c.result(wIn);
  if (in.cross) {
    c.result(kv);
    c.result(wMemory);
  }
}

// dy, operands, then the forward results after y -> dquery, [dmemory], dq, dk, dv, do, [dposition]
void attentionGrad(Call& c) {
  const Operands in(c, 1, 12);
  const at::Tensor &ctx = c.x(5), &stats = c.x(6), &wo = c.x(7), &q = c.x(8), &wIn = c.x(9);
  const at::Tensor& kv = in.cross ? c.x(10) : q;
  const at::Tensor& wMemory = in.cross ? c.x(11) : wIn;
  const at::ScalarType type = q.scalar_type();
  const at::Tensor dy = rowsOf(c.x(0).to(type));
  const AttentionShape s = in.shape(wo.size(1));
  const int64_t inner = s.inner();
  const int64_t key = in.cross ? 0 : inner;
  const at::Tensor dctx = product(dy, wo).reshape(ctx.sizes());
  const at::Tensor dwo = product(dy.t(), rowsOf(ctx));
  at::Tensor dq, dkv, dPosition;
  if (onCuda(q)) {
    const HeadGradients d = attendGradientOnCuda({s, q, kv, key, in.position, in.real, in.factors(s)}, ctx, dctx, stats);
    dq = d.dq;
    dkv = d.dkv;
    dPosition = d.dPosition;
  } else {
    const AttentionBias bias = readBias(in.position, in.real, in.dropout, s, q.options());
    const at::Tensor ofQueries = inFastWidth(q), ofKeys = in.cross ? inFastWidth(kv) : ofQueries;
    const at::Tensor result = inFastWidth(ctx), dResult = inFastWidth(dctx);
    dq = at::empty_like(ofQueries);
    dkv = in.cross ? at::empty_like(ofKeys) : dq;
    at::Tensor partial = at::zeros({s.B, s.H, s.distances()}, stats.options());
    const float* const most = stats.const_data_ptr<float>();
    withType(dq, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      attendHeadsGrad<T>(s, heads<T>(ofQueries, 0, s.K), heads<T>(ofKeys, key, s.K), heads<T>(ofKeys, key + inner, s.K),
                         heads<T>(result, 0, s.K), heads<T>(dResult, 0, s.K), bias, most, most + s.B * s.H * s.T, heads<T>(dq, 0, s.K),
                         heads<T>(dkv, key, s.K), heads<T>(dkv, key + inner, s.K), partial.mutable_data_ptr<float>());
    });
    dPosition = at::sum(partial, {0});
    dq = dq.to(type);
    dkv = in.cross ? dkv.to(type) : dq;
  }
  const at::Tensor dqRows = rowsOf(dq);
  c.result(product(dqRows, wIn).reshape(in.query.sizes()));
  const at::Tensor dwIn = product(dqRows.t(), rowsOf(in.query));
  at::Tensor dwMemory = dwIn;
  if (in.cross) {
    const at::Tensor dkvRows = rowsOf(dkv);
    c.result(product(dkvRows, wMemory).reshape(in.memory.sizes()));
    dwMemory = product(dkvRows.t(), rowsOf(in.memory.to(type)));
  }
  c.result(dwIn.narrow(0, 0, inner));
  c.result(dwMemory.narrow(0, key, inner));
  c.result(dwMemory.narrow(0, key + inner, inner));
  c.result(dwo);
  if (in.position.defined()) c.result(dPosition.t().contiguous());
}

const Operations ops = {
    {"TorchAttention(query: float[B, L, D], memory?: float[B, S=L, M=D], position?: float[L + S - 1, heads], real?: real[B, S], q: "
     "float[heads * K, D], k: float[heads * K, M], v: float[heads * K, M], o: float[D, heads * K], step?: int32[1]; heads: int >= 1, "
     "causal: bool, "
     "rate: number, scale: number, key: ints[2] in [0, 4294967295]) -> y: "
     "query.dtype[B, L, D], context: query.dtype[B, L, heads * K], stats: float32[2, B, heads, L], wo: query.dtype[D, heads * K], "
     "projected: query.dtype[B, L, memory ? heads * K : 3 * heads * K], wIn: query.dtype[memory ? heads * K : 3 * heads * K, D], "
     "projectedMemory if memory: query.dtype[B, S, 2 * heads * K], wMemory if memory: query.dtype[2 * heads * K, M] where L >= 1, S >= 1, "
     "D >= 1, K >= 1, M >= 1",
     attention},
    {"TorchAttentionGrad(dy: float[B, L, D], query: float[B, L, D], memory?: float[B, S=L, M=D], position?: float[L + S - 1, heads], "
     "real?: real[B, S], context: contiguous query.dtype[B, L, heads * K], stats: contiguous float32[2, B, heads, L], wo: query.dtype[D, "
     "heads * K], projected: contiguous query.dtype[B, L, memory ? heads * K : 3 * heads * K], wIn: query.dtype[memory ? heads * K : 3 * "
     "heads * K, D], projectedMemory if memory: contiguous query.dtype[B, S, 2 * heads * K], wMemory if memory: query.dtype[2 * heads * K, "
     "M], step?: int32[1]; heads: int >= 1, causal: bool, rate: number, scale: number, key: "
     "ints[2] in [0, 4294967295]) -> dQuery: float[B, L, D], dMemory if memory: float[B, S, M], dq: float[heads * K, D], dk: "
     "float[heads * K, M], dv: float[heads * K, M], do: float[D, heads * K], dPosition if position: float32[L + S - 1, heads] where L >= "
     "1, S >= 1, D >= 1, K >= 1, M >= 1",
     attentionGrad},
};

}  // namespace

}  // namespace tfjs_torch
