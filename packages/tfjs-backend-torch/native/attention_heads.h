// The heads of T5's attention on the CPU, forward and backward: scores live for one block of queries of one head at a time, in
// float32, and probabilities meet the values in the activations' width.
#pragma once

#include <cmath>
#include <memory>

#include "call.h"
#include "gemm.h"
#include "simd.h"
#include "tasks.h"

namespace tfjs_torch {

// B batch, T queries, S keys, H heads, K width of a head
struct AttentionShape {
  int64_t B, T, S, H, K;
  bool causal;
  int64_t inner() const { return H * K; }
  int64_t distances() const { return T + S - 1; }
};

// Bias of every score: by head and distance [H, T+S-1] (index key - query + T - 1), and by key [B, S]; zeros where absent.
struct AttentionBias {
  at::Tensor position;
  at::Tensor mask;
};

// Where queries, keys and values lie: rows of a projection, a head's columns side by side.
template <typename T>
struct HeadRows {
  T* base;
  int64_t stride;
  int64_t length;
  int64_t width;
  T* at(int64_t b, int64_t h, int64_t row = 0) const { return base + (b * length + row) * stride + h * width; }
};

template <typename T>
HeadRows<T> heads(const at::Tensor& x, int64_t column, int64_t width) {
  return {x.data_ptr<T>() + column, x.size(-1), x.size(1), width};
}

// Queries at a time: scores of a block and their gradients stay in the core's own cache.
inline int64_t blockRows(int64_t keys) { return std::clamp<int64_t>(65536 / std::max<int64_t>(keys, 1), 16, 128); }

template <typename T>
struct AttentionScratch {
  std::unique_ptr<float[]> scores, products, out, dkSum, dvSum;
  std::unique_ptr<T[]> probs, dScores;
  // Keys and values as [K, S]; a block's queries and dO as [rows, K] and, with T, as [K, rows]; scores with T as [S, rows].
  Factor<T> key, value, query, queryT, dOut, dOutT, prob, probT, dScore, dScoreT;
  AttentionScratch(int64_t rows, int64_t keys, int64_t width, bool backward)
      : scores(new float[rows * keys]), out(new float[rows * width]), probs(new T[rows * keys]) {
    if (!backward) return;
    products.reset(new float[rows * keys]);
    dScores.reset(new T[rows * keys]);
    dkSum.reset(new float[keys * width]);
    dvSum.reset(new float[keys * width]);
  }
  void setKeys(const HeadRows<T>& k, const HeadRows<T>& v, int64_t b, int64_t h, int64_t keys) {
    key.set({k.at(b, h), k.width, keys, k.stride, false});
    value.set({v.at(b, h), v.width, keys, v.stride, false});
  }
};

// One for each worker.
template <typename T>
std::vector<AttentionScratch<T>> attentionScratch(const AttentionShape& s, int64_t rows, bool backward) {
  std::vector<AttentionScratch<T>> all;
  for (int64_t i = 0; i < workersHere(); ++i) all.emplace_back(rows, s.S, s.K, backward);
  return all;
}

template <typename T>
void attendHeads(const AttentionShape& s, const HeadRows<T>& q, const HeadRows<T>& k, const HeadRows<T>& v,
                 const HeadRows<T>& ctx, const AttentionBias& bias, float* most, float* inverse) {
  const float* const position = bias.position.const_data_ptr<float>();
  const float* const mask = bias.mask.const_data_ptr<float>();
  const int64_t block = blockRows(s.S);
  std::vector<AttentionScratch<T>> all = attentionScratch<T>(s, block, false);
  forTasks(s.B * s.H, [&](int64_t worker, int64_t unit) {
    AttentionScratch<T>& scratch = all[worker];
    const int64_t b = unit / s.H, h = unit % s.H;
    for (int64_t t0 = 0; t0 < s.T; t0 += block) {
      const int64_t rows = std::min(block, s.T - t0);
      const int64_t keys = s.causal ? std::min(s.S, t0 + rows) : s.S;
      if (t0 == 0 || s.causal) scratch.setKeys(k, v, b, h, keys);
      scratch.query.set({q.at(b, h, t0), rows, s.K, q.stride, true});
      gemm(scratch.query, scratch.key, false, scratch.scores.get(), s.S);
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
      scratch.probT.set({scratch.probs.get(), keys, rows, s.S, false});
      gemm(scratch.value, scratch.probT, false, scratch.out.get(), block);
      simd([&]() INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          const float scale = inverse[unit * s.T + t0 + r];
          const float* const from = scratch.out.get() + r;
          T* const to = ctx.at(b, h, t0 + r);
#pragma omp simd
          for (int64_t i = 0; i < s.K; ++i) narrow(from[i * block] * scale, to[i]);
        }
      });
    }
  });
}

// dScore = p (dp - Σ dO·O); dPosition [B, H, T+S-1], zeros at first, takes the sum over queries and keys of a distance.
template <typename T>
void attendHeadsGrad(const AttentionShape& s, const HeadRows<T>& q, const HeadRows<T>& k, const HeadRows<T>& v,
                     const HeadRows<T>& ctx, const HeadRows<T>& dctx, const AttentionBias& bias, const float* most,
                     const float* inverse, const HeadRows<T>& dq, const HeadRows<T>& dk, const HeadRows<T>& dv,
                     float* dPosition) {
  const float* const position = bias.position.const_data_ptr<float>();
  const float* const mask = bias.mask.const_data_ptr<float>();
  const int64_t block = blockRows(s.S);
  std::vector<AttentionScratch<T>> all = attentionScratch<T>(s, block, true);
  forTasks(s.B * s.H, [&](int64_t worker, int64_t unit) {
    AttentionScratch<T>& scratch = all[worker];
    float *const dkSum = scratch.dkSum.get(), *const dvSum = scratch.dvSum.get();  // [K, S]
    float* const dByDistances = dPosition + unit * s.distances();
    const int64_t b = unit / s.H, h = unit % s.H;
    std::fill_n(dkSum, s.S * s.K, 0.0f);
    std::fill_n(dvSum, s.S * s.K, 0.0f);
    for (int64_t t0 = 0; t0 < s.T; t0 += block) {
      const int64_t rows = std::min(block, s.T - t0);
      const int64_t keys = s.causal ? std::min(s.S, t0 + rows) : s.S;
      if (t0 == 0 || s.causal) scratch.setKeys(k, v, b, h, keys);
      scratch.query.set({q.at(b, h, t0), rows, s.K, q.stride, true});
      scratch.queryT.set({q.at(b, h, t0), s.K, rows, q.stride, false});
      scratch.dOut.set({dctx.at(b, h, t0), rows, s.K, dctx.stride, true});
      scratch.dOutT.set({dctx.at(b, h, t0), s.K, rows, dctx.stride, false});
      gemm(scratch.query, scratch.key, false, scratch.scores.get(), s.S);
      gemm(scratch.dOut, scratch.value, false, scratch.products.get(), s.S);
      simd([&]() INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t t = t0 + r;
          const int64_t seen = s.causal ? std::min(s.S, t + 1) : s.S;
          const float* const score = scratch.scores.get() + r * s.S;
          const float* const dProb = scratch.products.get() + r * s.S;
          T* const prob = scratch.probs.get() + r * s.S;
          T* const dScore = scratch.dScores.get() + r * s.S;
          const float* const byDistance = position + h * s.distances() + (s.T - 1 - t);
          float* const dByDistance = dByDistances + (s.T - 1 - t);
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
      scratch.prob.set({scratch.probs.get(), rows, keys, s.S, true});
      scratch.dScore.set({scratch.dScores.get(), rows, keys, s.S, true});
      scratch.dScoreT.set({scratch.dScores.get(), keys, rows, s.S, false});
      gemm(scratch.key, scratch.dScoreT, false, scratch.out.get(), block);
      gemm(scratch.queryT, scratch.dScore, true, dkSum, s.S);
      gemm(scratch.dOutT, scratch.prob, true, dvSum, s.S);
      simd([&]() INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          T* const to = dq.at(b, h, t0 + r);
#pragma omp simd
          for (int64_t i = 0; i < s.K; ++i) narrow(scratch.out[i * block + r], to[i]);
        }
      });
    }
    simd([&]() INLINE_LAMBDA {
      for (int64_t j = 0; j < s.S; ++j) {
        T* const toKey = dk.at(b, h, j);
        T* const toValue = dv.at(b, h, j);
#pragma omp simd
        for (int64_t i = 0; i < s.K; ++i) {
          narrow(dkSum[i * s.S + j], toKey[i]);
          narrow(dvSum[i * s.S + j], toValue[i]);
        }
      }
    });
  });
}

}  // namespace tfjs_torch
