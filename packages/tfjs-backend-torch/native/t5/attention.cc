// T5's attention with a bias by relative position, forward and backward. Projections are one product over stacked weights; the heads
// are t5/attention_heads.h's on the CPU, and ATen's operations on CUDA.
#include "cpu/gemm/matmul.h"
#include "runtime/call.h"
#include "runtime/registry.h"
#include "t5/attention_heads.h"

namespace tfjs_torch {
namespace {

// Added to a score that must not count; src/ops/attention.ts has the same.
constexpr float kMasked = -1e9f;

AttentionBias readBias(const at::Tensor& position_LH, const at::Tensor& real_BS, const AttentionShape& s,
                       const at::TensorOptions& options) {
  const auto wide = options.dtype(at::kFloat);
  return {position_LH.defined() ? position_LH.to(at::kFloat).t().contiguous() : at::zeros({s.H, s.distances()}, wide),
          real_BS.defined() ? ((1 - real_BS.to(at::kFloat)) * kMasked).contiguous() : at::zeros({s.B, s.S}, wide)};
}

// The same in ATen's operations, for CUDA.
at::Tensor splitHeads(const at::Tensor& x, int64_t column, const AttentionShape& s) {
  return x.narrow(2, column, s.inner()).reshape({x.size(0), x.size(1), s.H, s.K}).transpose(1, 2);
}
at::Tensor joinHeads(const at::Tensor& x) { return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1}); }

at::Tensor distanceIndex(const AttentionShape& s, const at::TensorOptions& options) {
  const auto whole = options.dtype(at::kLong);
  return (at::arange(s.S, whole).unsqueeze(0) - at::arange(s.T, whole).unsqueeze(1) + (s.T - 1)).reshape({-1});
}

at::Tensor biasAten(const AttentionBias& bias, const AttentionShape& s) {
  const auto options = bias.mask.options();
  at::Tensor all =
      bias.position.index_select(1, distanceIndex(s, options)).reshape({1, s.H, s.T, s.S}) + bias.mask.reshape({s.B, 1, 1, s.S});
  if (s.causal) all = all + at::full({s.T, s.S}, kMasked, options).triu(1);
  return all;
}

void attendAten(const AttentionShape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor& ctx,
                const AttentionBias& bias, at::Tensor& stats) {
  const at::Tensor scores = at::matmul(q, k.transpose(-2, -1)).to(at::kFloat) + biasAten(bias, s);
  const at::Tensor most = at::amax(scores, {-1}, true);
  const at::Tensor weights = at::exp(scores - most);
  const at::Tensor inverse = at::reciprocal(at::sum(weights, {-1}, true));
  ctx = joinHeads(at::matmul((weights * inverse).to(v.scalar_type()), v));
  stats = at::stack({most.squeeze(-1), inverse.squeeze(-1)});
}

struct HeadGrads {
  at::Tensor dq, dk, dv, dPosition;
};

HeadGrads attendGradAten(const AttentionShape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& ctx,
                         const at::Tensor& dctx, const AttentionBias& bias, const at::Tensor& stats) {
  const at::Tensor scores = at::matmul(q, k.transpose(-2, -1)).to(at::kFloat) + biasAten(bias, s);
  const at::Tensor probs = at::exp(scores - stats[0].unsqueeze(-1)) * stats[1].unsqueeze(-1);
  const at::Tensor dO = splitHeads(dctx, 0, s);
  const at::Tensor along = at::sum(splitHeads(ctx, 0, s).to(at::kFloat) * dO.to(at::kFloat), {-1}, true);
  const at::Tensor dScores = probs * (at::matmul(dO, v.transpose(-2, -1)).to(at::kFloat) - along);
  const at::Tensor narrowed = dScores.to(q.scalar_type());
  const at::Tensor dPosition = at::zeros({s.H, s.distances()}, dScores.options())
                                   .index_add(1, distanceIndex(s, dScores.options()), at::sum(dScores, {0}).reshape({s.H, -1}));
  return {joinHeads(at::matmul(narrowed, k)), joinHeads(at::matmul(narrowed.transpose(-2, -1), q)),
          joinHeads(at::matmul(probs.to(v.scalar_type()).transpose(-2, -1), dO)), dPosition};
}

// What both directions are given: query [B, T, D], memory [B, S, D] in cross-attention, the bias's parts where there are any.
struct Operands {
  bool cross;
  at::Tensor query, memory, position, real;
  int64_t heads;
  bool causal;
  Operands(Call& c, size_t first)
      : cross(c.has(first + 1)),
        query(c.x(first).contiguous()),
        memory(cross ? c.x(first + 1).contiguous() : query),
        position(c.x(first + 2)),
        real(c.x(first + 3)),
        heads(c.integer()),
        causal(c.flag()) {}
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
  const Operands in(c, 0);
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
  const AttentionBias bias = readBias(in.position, in.real, s, in.query.options());
  at::Tensor ctx, stats;
  if (q.is_cuda()) {
    attendAten(s, splitHeads(q, 0, s), splitHeads(kv, key, s), splitHeads(kv, key + inner, s), ctx, bias, stats);
  } else {
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
  const Operands in(c, 1);
  const at::Tensor &ctx = c.x(5), &stats = c.x(6), &wo = c.x(7), &q = c.x(8), &wIn = c.x(9);
  const at::Tensor& kv = in.cross ? c.x(10) : q;
  const at::Tensor& wMemory = in.cross ? c.x(11) : wIn;
  const at::ScalarType type = q.scalar_type();
  const at::Tensor dy = rowsOf(c.x(0).to(type));
  const AttentionShape s = in.shape(wo.size(1));
  const int64_t inner = s.inner();
  const int64_t key = in.cross ? 0 : inner;
  const AttentionBias bias = readBias(in.position, in.real, s, q.options());
  const at::Tensor dctx = product(dy, wo).reshape(ctx.sizes());
  const at::Tensor dwo = product(dy.t(), rowsOf(ctx));
  at::Tensor dq, dkv, dPosition;
  if (q.is_cuda()) {
    const HeadGrads d =
        attendGradAten(s, splitHeads(q, 0, s), splitHeads(kv, key, s), splitHeads(kv, key + inner, s), ctx, dctx, bias, stats);
    dq = in.cross ? d.dq : at::cat({d.dq, d.dk, d.dv}, 2);
    dkv = in.cross ? at::cat({d.dk, d.dv}, 2) : dq;
    dPosition = d.dPosition;
  } else {
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
     "float[heads * K, D], k: float[heads * K, M], v: float[heads * K, M], o: float[D, heads * K]; heads: int >= 1, causal: bool) -> y: "
     "query.dtype[B, L, D], context: query.dtype[B, L, heads * K], stats: float32[2, B, heads, L], wo: query.dtype[D, heads * K], "
     "projected: query.dtype[B, L, memory ? heads * K : 3 * heads * K], wIn: query.dtype[memory ? heads * K : 3 * heads * K, D], "
     "projectedMemory if memory: query.dtype[B, S, 2 * heads * K], wMemory if memory: query.dtype[2 * heads * K, M] where L >= 1, S >= 1, "
     "D >= 1, K >= 1, M >= 1",
     attention},
    {"TorchAttentionGrad(dy: float[B, L, D], query: float[B, L, D], memory?: float[B, S=L, M=D], position?: float[L + S - 1, heads], "
     "real?: real[B, S], context: contiguous query.dtype[B, L, heads * K], stats: contiguous float32[2, B, heads, L], wo: query.dtype[D, "
     "heads * K], projected: contiguous query.dtype[B, L, memory ? heads * K : 3 * heads * K], wIn: query.dtype[memory ? heads * K : 3 * "
     "heads * K, D], projectedMemory if memory: contiguous query.dtype[B, S, 2 * heads * K], wMemory if memory: query.dtype[2 * heads * K, "
     "M]; heads: int >= 1, causal: bool) -> dQuery: float[B, L, D], dMemory if memory: float[B, S, M], dq: float[heads * K, D], dk: "
     "float[heads * K, M], dv: float[heads * K, M], do: float[D, heads * K], dPosition if position: float32[L + S - 1, heads] where L >= "
     "1, S >= 1, D >= 1, K >= 1, M >= 1",
     attentionGrad},
};

}  // namespace

}  // namespace tfjs_torch
