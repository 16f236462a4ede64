// T5's attention with a bias by relative position, forward and backward. Projections are one product over stacked weights; scores
// live for one block of queries of one head at a time, in float32, and probabilities meet the values in the activations' width.
#include <cmath>
#include <memory>

#include "call.h"
#include "gemm.h"
#include "simd.h"

namespace tfjs_torch {
namespace {

// Added to a score that must not count; src/ops/attention.ts has the same.
constexpr float kMasked = -1e9f;

// B batch, T queries, S keys, H heads, K width of a head
struct Shape {
  int64_t B, T, S, H, K;
  bool causal;
  int64_t inner() const { return H * K; }
  int64_t distances() const { return T + S - 1; }
};

// Bias of every score: by head and distance [H, T+S-1] (index key - query + T - 1), and by key [B, S]; zeros where absent.
struct Bias {
  at::Tensor position;
  at::Tensor mask;
};

Bias readBias(const at::Tensor& position_LH, const at::Tensor& real_BS, const Shape& s, const at::TensorOptions& options) {
  const auto wide = options.dtype(at::kFloat);
  return {position_LH.defined() ? position_LH.to(at::kFloat).t().contiguous() : at::zeros({s.H, s.distances()}, wide),
          real_BS.defined() ? ((1 - real_BS.to(at::kFloat)) * kMasked).contiguous() : at::zeros({s.B, s.S}, wide)};
}

// Where queries, keys and values lie: rows of a projection, a head's columns side by side.
template <typename T>
struct Heads {
  T* base;
  int64_t stride;
  int64_t length;
  int64_t width;
  T* at(int64_t b, int64_t h, int64_t row = 0) const { return base + (b * length + row) * stride + h * width; }
};

template <typename T>
Heads<T> heads(const at::Tensor& x, int64_t column, int64_t width) {
  return {x.data_ptr<T>() + column, x.size(-1), x.size(1), width};
}

// Queries at a time: scores of a block and their gradients stay in the core's own cache.
int64_t blockRows(int64_t keys) { return std::clamp<int64_t>(65536 / std::max<int64_t>(keys, 1), 16, 128); }

template <typename T>
struct Scratch {
  std::unique_ptr<float[]> scores, products, out;
  std::unique_ptr<T[]> probs, dScores;
  Scratch(int64_t rows, int64_t keys, int64_t width)
      : scores(new float[rows * keys]),
        products(new float[rows * keys]),
        out(new float[rows * width]),
        probs(new T[rows * keys]),
        dScores(new T[rows * keys]) {}
};

template <typename T>
void attendHeads(const Shape& s, const Heads<T>& q, const Heads<T>& k, const Heads<T>& v, const Heads<T>& ctx,
                 const Bias& bias, float* most, float* inverse) {
  const float* const position = bias.position.const_data_ptr<float>();
  const float* const mask = bias.mask.const_data_ptr<float>();
  const int64_t block = blockRows(s.S);
  at::parallel_for(0, s.B * s.H, 1, [&](int64_t begin, int64_t end) {
    const Scratch<T> scratch(block, s.S, s.K);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t b = unit / s.H, h = unit % s.H;
      for (int64_t t0 = 0; t0 < s.T; t0 += block) {
        const int64_t rows = std::min(block, s.T - t0);
        const int64_t keys = s.causal ? std::min(s.S, t0 + rows) : s.S;
        gemm({false, true, rows, keys, s.K}, q.at(b, h, t0), q.stride, k.at(b, h), k.stride, 0, scratch.scores.get(), s.S);
        simd([&]() INLINE_LAMBDA {
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t t = t0 + r;
            const int64_t seen = s.causal ? std::min(s.S, t + 1) : s.S;
            float* const score = scratch.scores.get() + r * s.S;
            T* const prob = scratch.probs.get() + r * s.S;
            const float* const byDistance = position + h * s.distances() + (s.T - 1 - t);
            const float* const byKey = mask + b * s.S;
            float top = -INFINITY;
#pragma omp simd reduction(max : top)
            for (int64_t j = 0; j < seen; ++j) {
              score[j] += byDistance[j] + byKey[j];
              top = score[j] > top ? score[j] : top;
            }
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t j = 0; j < seen; ++j) {
              const float p = fastExp(score[j] - top);
              sum += p;
              narrow(p, prob[j]);
            }
            for (int64_t j = seen; j < keys; ++j) narrow(0, prob[j]);
            most[unit * s.T + t] = top;
            inverse[unit * s.T + t] = 1 / sum;
          }
        });
        gemm({false, false, rows, s.K, keys}, scratch.probs.get(), s.S, v.at(b, h), v.stride, 0, scratch.out.get(), s.K);
        simd([&]() INLINE_LAMBDA {
          for (int64_t r = 0; r < rows; ++r) {
            const float scale = inverse[unit * s.T + t0 + r];
            const float* const from = scratch.out.get() + r * s.K;
            T* const to = ctx.at(b, h, t0 + r);
#pragma omp simd
            for (int64_t i = 0; i < s.K; ++i) narrow(from[i] * scale, to[i]);
          }
        });
      }
    }
  });
}

// dScore = p (dp - Σ dO·O); the bias by distance takes the sum over batch, queries and keys of its distance, one partial sum a thread.
template <typename T>
void attendHeadsGrad(const Shape& s, const Heads<T>& q, const Heads<T>& k, const Heads<T>& v, const Heads<T>& ctx,
                     const Heads<T>& dctx, const Bias& bias, const float* most, const float* inverse, const Heads<T>& dq,
                     const Heads<T>& dk, const Heads<T>& dv, float* dPosition) {
  const float* const position = bias.position.const_data_ptr<float>();
  const float* const mask = bias.mask.const_data_ptr<float>();
  const int64_t block = blockRows(s.S);
  at::parallel_for(0, s.B * s.H, 1, [&](int64_t begin, int64_t end) {
    const Scratch<T> scratch(block, s.S, s.K);
    std::unique_ptr<float[]> dkSum(new float[s.S * s.K]), dvSum(new float[s.S * s.K]);
    float* const dByDistances = dPosition + at::get_thread_num() * s.H * s.distances();
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t b = unit / s.H, h = unit % s.H;
      std::fill_n(dkSum.get(), s.S * s.K, 0.0f);
      std::fill_n(dvSum.get(), s.S * s.K, 0.0f);
      for (int64_t t0 = 0; t0 < s.T; t0 += block) {
        const int64_t rows = std::min(block, s.T - t0);
        const int64_t keys = s.causal ? std::min(s.S, t0 + rows) : s.S;
        gemm({false, true, rows, keys, s.K}, q.at(b, h, t0), q.stride, k.at(b, h), k.stride, 0, scratch.scores.get(), s.S);
        gemm({false, true, rows, keys, s.K}, dctx.at(b, h, t0), dctx.stride, v.at(b, h), v.stride, 0,
             scratch.products.get(), s.S);
        simd([&]() INLINE_LAMBDA {
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t t = t0 + r;
            const int64_t seen = s.causal ? std::min(s.S, t + 1) : s.S;
            const float* const score = scratch.scores.get() + r * s.S;
            const float* const dProb = scratch.products.get() + r * s.S;
            T* const prob = scratch.probs.get() + r * s.S;
            T* const dScore = scratch.dScores.get() + r * s.S;
            const float* const byDistance = position + h * s.distances() + (s.T - 1 - t);
            float* const dByDistance = dByDistances + h * s.distances() + (s.T - 1 - t);
            const float* const byKey = mask + b * s.S;
            const T* const o = ctx.at(b, h, t);
            const T* const dO = dctx.at(b, h, t);
            const float top = most[unit * s.T + t];
            const float scale = inverse[unit * s.T + t];
            float along = 0;
#pragma omp simd reduction(+ : along)
            for (int64_t i = 0; i < s.K; ++i) along += widen(o[i]) * widen(dO[i]);
#pragma omp simd
            for (int64_t j = 0; j < seen; ++j) {
              const float p = fastExp(score[j] + (byDistance[j] + byKey[j]) - top) * scale;
              const float d = p * (dProb[j] - along);
              narrow(p, prob[j]);
              narrow(d, dScore[j]);
              dByDistance[j] += d;
            }
            for (int64_t j = seen; j < keys; ++j) {
              narrow(0, prob[j]);
              narrow(0, dScore[j]);
            }
          }
        });
        gemm({false, false, rows, s.K, keys}, scratch.dScores.get(), s.S, k.at(b, h), k.stride, 0, scratch.out.get(), s.K);
        gemm({true, false, keys, s.K, rows}, scratch.dScores.get(), s.S, q.at(b, h, t0), q.stride, 1, dkSum.get(), s.K);
        gemm({true, false, keys, s.K, rows}, scratch.probs.get(), s.S, dctx.at(b, h, t0), dctx.stride, 1, dvSum.get(), s.K);
        simd([&]() INLINE_LAMBDA {
          for (int64_t r = 0; r < rows; ++r) {
            T* const to = dq.at(b, h, t0 + r);
#pragma omp simd
            for (int64_t i = 0; i < s.K; ++i) narrow(scratch.out[r * s.K + i], to[i]);
          }
        });
      }
      simd([&]() INLINE_LAMBDA {
        for (int64_t j = 0; j < s.S; ++j) {
          T* const toKey = dk.at(b, h, j);
          T* const toValue = dv.at(b, h, j);
#pragma omp simd
          for (int64_t i = 0; i < s.K; ++i) {
            narrow(dkSum[j * s.K + i], toKey[i]);
            narrow(dvSum[j * s.K + i], toValue[i]);
          }
        }
      });
    }
  });
}

// The same in ATen's operations, for CUDA.
at::Tensor splitHeads(const at::Tensor& x, int64_t column, const Shape& s) {
  return x.narrow(2, column, s.inner()).reshape({x.size(0), x.size(1), s.H, s.K}).transpose(1, 2);
}
at::Tensor joinHeads(const at::Tensor& x) { return x.transpose(1, 2).reshape({x.size(0), x.size(2), -1}); }

at::Tensor distanceIndex(const Shape& s, const at::TensorOptions& options) {
  const auto whole = options.dtype(at::kLong);
  return (at::arange(s.S, whole).unsqueeze(0) - at::arange(s.T, whole).unsqueeze(1) + (s.T - 1)).reshape({-1});
}

at::Tensor biasAten(const Bias& bias, const Shape& s) {
  const auto options = bias.mask.options();
  at::Tensor all = bias.position.index_select(1, distanceIndex(s, options)).reshape({1, s.H, s.T, s.S}) +
                   bias.mask.reshape({s.B, 1, 1, s.S});
  if (s.causal) all = all + at::full({s.T, s.S}, kMasked, options).triu(1);
  return all;
}

void attendAten(const Shape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor& ctx,
                const Bias& bias, at::Tensor& stats) {
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

HeadGrads attendGradAten(const Shape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const at::Tensor& ctx, const at::Tensor& dctx, const Bias& bias, const at::Tensor& stats) {
  const at::Tensor scores = at::matmul(q, k.transpose(-2, -1)).to(at::kFloat) + biasAten(bias, s);
  const at::Tensor probs = at::exp(scores - stats[0].unsqueeze(-1)) * stats[1].unsqueeze(-1);
  const at::Tensor dO = splitHeads(dctx, 0, s);
  const at::Tensor along = at::sum(splitHeads(ctx, 0, s).to(at::kFloat) * dO.to(at::kFloat), {-1}, true);
  const at::Tensor dScores = probs * (at::matmul(dO, v.transpose(-2, -1)).to(at::kFloat) - along);
  const at::Tensor narrowed = dScores.to(q.scalar_type());
  const at::Tensor dPosition = at::zeros({s.H, s.distances()}, dScores.options())
                                   .index_add(1, distanceIndex(s, dScores.options()),
                                              at::sum(dScores, {0}).reshape({s.H, -1}));
  return {joinHeads(at::matmul(narrowed, k)), joinHeads(at::matmul(narrowed.transpose(-2, -1), q)),
          joinHeads(at::matmul(probs.to(v.scalar_type()).transpose(-2, -1), dO)), dPosition};
}

// What both directions are given: query [B, T, D], memory [B, S, D] in cross-attention, the bias's parts where there are any.
struct Operands {
  bool cross, causal;
  int64_t heads;
  at::Tensor query, memory, position, real;
  size_t next = 0;
  Operands(Call& c, size_t first) : cross(c.flag()), causal(c.flag()), heads(c.integer()), next(first) {
    const bool hasPosition = c.flag();
    const bool hasReal = c.flag();
    query = c.x(next++).contiguous();
    memory = cross ? c.x(next++).contiguous() : query;
    if (hasPosition) position = c.x(next++);
    if (hasReal) real = c.x(next++);
  }
  Shape shape(int64_t inner) const {
    return {query.size(0), query.size(1), memory.size(1), heads, inner / heads, causal};
  }
};

at::Tensor rowsOf(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {
  return at::mm(rowsOf(x), weight.t()).reshape({x.size(0), x.size(1), weight.size(0)});
}

// operands, then q, k, v [H·K, D], o [D, H·K]; cross, causal, heads, has position [T+S-1, H], has real [B, S]
//   -> y [B, T, D], then what the gradient needs: projections and stacked input weights (q·k·v, or q and k·v across), values
//      attended to [B, T, H·K], row statistics [2, B, H, T], output weight
void attention(Call& c) {
  const Operands in(c, 0);
  const at::ScalarType type = in.query.scalar_type();
  const at::Tensor &wq = c.x(in.next), &wk = c.x(in.next + 1), &wv = c.x(in.next + 2);
  const at::Tensor wo = stackWeights({c.x(in.next + 3)}, type);
  const Shape s = in.shape(wq.size(0));
  const int64_t inner = s.inner();
  const at::Tensor wIn = in.cross ? stackWeights({wq}, type) : stackWeights({wq, wk, wv}, type);
  const at::Tensor wMemory = in.cross ? stackWeights({wk, wv}, type) : wIn;
  const at::Tensor q = project(in.query, wIn);
  const at::Tensor kv = in.cross ? project(in.memory.to(type), wMemory) : q;
  const int64_t key = in.cross ? 0 : inner;
  const Bias bias = readBias(in.position, in.real, s, in.query.options());
  at::Tensor ctx, stats;
  if (q.is_cuda()) {
    attendAten(s, splitHeads(q, 0, s), splitHeads(kv, key, s), splitHeads(kv, key + inner, s), ctx, bias, stats);
  } else {
    ctx = at::empty({s.B, s.T, inner}, q.options());
    stats = at::empty({2, s.B, s.H, s.T}, q.options().dtype(at::kFloat));
    float* const most = stats.mutable_data_ptr<float>();
    withType(q, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      attendHeads<T>(s, heads<T>(q, 0, s.K), heads<T>(kv, key, s.K), heads<T>(kv, key + inner, s.K), heads<T>(ctx, 0, s.K),
                     bias, most, most + s.B * s.H * s.T);
    });
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

// dy, operands, then the forward results after y; the same parameters
//   -> dquery, [dmemory], dq, dk, dv, do, [dposition]
void attentionGrad(Call& c) {
  const Operands in(c, 1);
  const at::Tensor &ctx = c.x(in.next), &stats = c.x(in.next + 1), &wo = c.x(in.next + 2), &q = c.x(in.next + 3),
                   &wIn = c.x(in.next + 4);
  const at::Tensor& kv = in.cross ? c.x(in.next + 5) : q;
  const at::Tensor& wMemory = in.cross ? c.x(in.next + 6) : wIn;
  const at::ScalarType type = q.scalar_type();
  const at::Tensor dy = rowsOf(c.x(0).to(type));
  const Shape s = in.shape(wo.size(1));
  const int64_t inner = s.inner();
  const int64_t key = in.cross ? 0 : inner;
  const Bias bias = readBias(in.position, in.real, s, q.options());
  const at::Tensor dctx = at::mm(dy, wo).reshape(ctx.sizes());
  const at::Tensor dwo = at::mm(dy.t(), rowsOf(ctx));
  at::Tensor dq, dkv, dPosition;
  if (q.is_cuda()) {
    const HeadGrads d = attendGradAten(s, splitHeads(q, 0, s), splitHeads(kv, key, s), splitHeads(kv, key + inner, s), ctx,
                                       dctx, bias, stats);
    dq = in.cross ? d.dq : at::cat({d.dq, d.dk, d.dv}, 2);
    dkv = in.cross ? at::cat({d.dk, d.dv}, 2) : dq;
    dPosition = d.dPosition;
  } else {
    dq = at::empty_like(q);
    dkv = in.cross ? at::empty_like(kv) : dq;
    at::Tensor partial = at::zeros({at::get_num_threads(), s.H, s.distances()}, stats.options());
    const float* const most = stats.const_data_ptr<float>();
    withType(q, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      attendHeadsGrad<T>(s, heads<T>(q, 0, s.K), heads<T>(kv, key, s.K), heads<T>(kv, key + inner, s.K),
                         heads<T>(ctx, 0, s.K), heads<T>(dctx, 0, s.K), bias, most, most + s.B * s.H * s.T,
                         heads<T>(dq, 0, s.K), heads<T>(dkv, key, s.K), heads<T>(dkv, key + inner, s.K),
                         partial.mutable_data_ptr<float>());
    });
    dPosition = at::sum(partial, {0});
  }
  const at::Tensor dqRows = rowsOf(dq);
  c.result(at::mm(dqRows, wIn).reshape(in.query.sizes()));
  const at::Tensor dwIn = at::mm(dqRows.t(), rowsOf(in.query));
  at::Tensor dwMemory = dwIn;
  if (in.cross) {
    const at::Tensor dkvRows = rowsOf(dkv);
    c.result(at::mm(dkvRows, wMemory).reshape(in.memory.sizes()));
    dwMemory = at::mm(dkvRows.t(), rowsOf(in.memory.to(type)));
  }
  c.result(dwIn.narrow(0, 0, inner));
  c.result(dwMemory.narrow(0, key, inner));
  c.result(dwMemory.narrow(0, key + inner, inner));
  c.result(dwo);
  if (in.position.defined()) c.result(dPosition.t().contiguous());
}

}  // namespace

void addAttentionOps(OpTable& ops) {
  const OpTable table = {{"Attention", attention}, {"AttentionGrad", attentionGrad}};
  ops.insert(ops.end(), table.begin(), table.end());
}

}  // namespace tfjs_torch
