// The heads of T5's attention on the CPU, forward and backward: scores live for one block of queries of one head at a time, in
// float32, and probabilities meet the values in the activations' width.
#pragma once

#include <cmath>
#include <memory>

#include "cpu/gemm/packed/packed_gemm.h"
#include "cpu/gemm/small_gemm.h"
#include "cpu/simd.h"
#include "cpu/tasks.h"
#include "runtime/call.h"

namespace tfjs_torch {

// Queries at a time, whole panels of any product's: scores of a block, probabilities and their gradients stay in the core's own cache.
inline constexpr int64_t kMostRows = 96;
inline int64_t blockRows(int64_t keys) { return std::clamp<int64_t>(65536 / std::max<int64_t>(keys, 1), 16, kMostRows); }

// On the way back: queries at a time, for gradients of keys and values are added up block by block, and those whose scores are there at a
// time, for kColumnStep keys, in the core's first cache.
inline constexpr int64_t kGradRows = 256, kScoreRows = 32;

// Between the rows of blocks that are worked on by column or by tile: rows a power of two apart would meet in the same lines of the cache.
inline int64_t apart(int64_t columns) { return columns + 32; }

template <typename T>
[[gnu::always_inline]] inline void fromFloatRow(const float* from, int64_t count, int64_t room, T* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) fromFloat(from[j], to[j]);
  for (int64_t j = count; j < room; ++j) fromFloat(0, to[j]);
}

// Softmax of one query's scores in their place and, without the division by its sum, in `prob`; keys from `seen` on are not seen.
struct RowStatistics {
  float most, inverse;
};
template <typename T>
[[gnu::always_inline]] inline RowStatistics softmaxRow(float* score, const float* byDistance, const float* byKey, int64_t seen,
                                                       int64_t keys, T* prob) {
  float most = -INFINITY, sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < seen; ++j) {
    score[j] += byDistance[j] + byKey[j];
    most = score[j] > most ? score[j] : most;
  }
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < seen; ++j) {
    score[j] = fastExp(score[j] - most);
    sum += score[j];
  }
  // On their own: among 16-bit stores the compiler would halve the vectors above.
  fromFloatRow(score, seen, keys, prob);
  return {most, 1 / sum};
}

// prob and dScore = prob (dProb - along) of one query, the latter added to dByDistance too. Changes score and dProb.
template <typename T>
[[gnu::always_inline]] inline void softmaxRowGrad(float* score, float* dProb, const float* byDistance, const float* byKey,
                                                  RowStatistics row, float along, int64_t seen, int64_t keys, T* prob, T* dScore,
                                                  float* dByDistance) {
#pragma omp simd
  for (int64_t j = 0; j < seen; ++j) {
    score[j] = fastExp(score[j] + (byDistance[j] + byKey[j]) - row.most) * row.inverse;
    dProb[j] = score[j] * (dProb[j] - along);
    dByDistance[j] += dProb[j];
  }
  fromFloatRow(score, seen, keys, prob);
  fromFloatRow(dProb, seen, keys, dScore);
}

template <typename T>
[[gnu::always_inline]] inline float dotRow(const T* x, const T* y, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += toFloat(x[i]) * toFloat(y[i]);
  return sum;
}

template <typename T>
struct AttentionScratch {
  std::unique_ptr<float[]> scores, products, out, dkSum, dvSum;
  std::unique_ptr<T[]> probs, dScores;
  // Keys and values as [S, K]; a block's queries and dO as [rows, K]; scores as [rows, S]. With T transposed.
  Factor<T> key, keyT, value, valueT, query, queryT, dOut, dOutT, prob, dScore;
  AttentionScratch(int64_t rows, int64_t keys, int64_t width, bool backward)
      : scores(new float[backward ? kScoreRows * apart(kColumnStep) : rows * apart(keys)]),
        out(new float[rows * width]),
        probs(new T[rows * apart(keys)]) {
    if (!backward) return;
    products.reset(new float[kScoreRows * apart(kColumnStep)]);
    dScores.reset(new T[rows * apart(keys)]);
    dkSum.reset(new float[width * apart(keys)]);
    dvSum.reset(new float[width * apart(keys)]);
  }
  void setKeys(const HeadRows<T>& k, const HeadRows<T>& v, int64_t b, int64_t h, int64_t keys) {
    key.set({k.at(b, h), keys, k.width, k.stride, true});
    keyT.set({k.at(b, h), k.width, keys, k.stride, false});
    value.set({v.at(b, h), keys, v.width, v.stride, true});
    valueT.set({v.at(b, h), v.width, keys, v.stride, false});
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
void attendHeads(const AttentionShape& s, const HeadRows<T>& q, const HeadRows<T>& k, const HeadRows<T>& v, const HeadRows<T>& ctx,
                 const AttentionBias& bias, float* most, float* inverse) {
  if (const auto* kernels = packedKernels<T>()) return kernels->attendHeads(s, {q, k, v, ctx}, bias, most, inverse);
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
      gemm(scratch.query, scratch.keyT, false, scratch.scores.get(), apart(s.S));
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t t = t0 + r;
          const RowStatistics row =
              softmaxRow(scratch.scores.get() + r * apart(s.S), position + h * s.distances() + (s.T - 1 - t), mask + b * s.S,
                         s.causal ? std::min(s.S, t + 1) : s.S, keys, scratch.probs.get() + r * apart(s.S));
          most[unit * s.T + t] = row.most;
          inverse[unit * s.T + t] = row.inverse;
          if (!bias.dropout.isOn()) continue;
          const float* const score = scratch.scores.get() + r * apart(s.S);
          T* const prob = scratch.probs.get() + r * apart(s.S);
          bias.dropout.forPieces((unit * s.T + t) * s.S, s.causal ? std::min(s.S, t + 1) : s.S,
                                 [=](int64_t first, int64_t last, const Kept& kept)
                                     TFJS_TORCH_INLINE_LAMBDA { timesKept(kept, score + first, prob + first, last - first); });
        }
      });
      scratch.prob.set({scratch.probs.get(), rows, keys, apart(s.S), true});
      gemm(scratch.prob, scratch.value, false, scratch.out.get(), s.K);
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          const float scale = inverse[unit * s.T + t0 + r];
          const float* const from = scratch.out.get() + r * s.K;
          T* const to = ctx.at(b, h, t0 + r);
#pragma omp simd
          for (int64_t i = 0; i < s.K; ++i) fromFloat(from[i] * scale, to[i]);
        }
      });
    }
  });
}

// dScore = p (dp - Σ dO·O); dPosition [B, H, T+S-1], zeros at first, takes the sum over queries and keys of a distance.
template <typename T>
void attendHeadsGrad(const AttentionShape& s, const HeadRows<T>& q, const HeadRows<T>& k, const HeadRows<T>& v, const HeadRows<T>& ctx,
                     const HeadRows<T>& dctx, const AttentionBias& bias, const float* most, const float* inverse, const HeadRows<T>& dq,
                     const HeadRows<T>& dk, const HeadRows<T>& dv, float* dPosition) {
  if (const auto* kernels = packedKernels<T>()) {
    return kernels->attendHeadsGrad(s, {q, k, v, ctx}, dctx, bias, most, inverse, {dq, dk, dv}, dPosition);
  }
  const float* const position = bias.position.const_data_ptr<float>();
  const float* const mask = bias.mask.const_data_ptr<float>();
  const int64_t block = std::min(kGradRows, s.T);
  std::vector<AttentionScratch<T>> all = attentionScratch<T>(s, block, true);
  forTasks(s.B * s.H, [&](int64_t worker, int64_t unit) {
    AttentionScratch<T>& scratch = all[worker];
    float *const dkSum = scratch.dkSum.get(), *const dvSum = scratch.dvSum.get();  // [K, S]
    float* const dByDistances = dPosition + unit * s.distances();
    const int64_t b = unit / s.H, h = unit % s.H;
    std::fill_n(dkSum, s.K * apart(s.S), 0.0f);
    std::fill_n(dvSum, s.K * apart(s.S), 0.0f);
    for (int64_t t0 = 0; t0 < s.T; t0 += block) {
      const int64_t rows = std::min(block, s.T - t0);
      const int64_t keys = s.causal ? std::min(s.S, t0 + rows) : s.S;
      if (t0 == 0 || s.causal) scratch.setKeys(k, v, b, h, keys);
      scratch.queryT.set({q.at(b, h, t0), s.K, rows, q.stride, false});
      scratch.dOutT.set({dctx.at(b, h, t0), s.K, rows, dctx.stride, false});
      for (int64_t r0 = 0; r0 < rows; r0 += kScoreRows) {
        const int64_t r1 = std::min(r0 + kScoreRows, rows);
        float along[kScoreRows];
        simd([&]() TFJS_TORCH_INLINE_LAMBDA {
          for (int64_t r = r0; r < r1; ++r) along[r - r0] = dotRow(ctx.at(b, h, t0 + r), dctx.at(b, h, t0 + r), s.K);
        });
        scratch.query.set({q.at(b, h, t0 + r0), r1 - r0, s.K, q.stride, true});
        scratch.dOut.set({dctx.at(b, h, t0 + r0), r1 - r0, s.K, dctx.stride, true});
        for (int64_t j = 0; j < keys; j += kColumnStep) {
          const Columns which{j, std::min(j + kColumnStep, keys)};
          gemm(scratch.query, scratch.keyT, which, false, scratch.scores.get(), apart(kColumnStep));
          gemm(scratch.dOut, scratch.valueT, which, false, scratch.products.get(), apart(kColumnStep));
          simd([&]() TFJS_TORCH_INLINE_LAMBDA {
            for (int64_t r = r0; r < r1; ++r) {
              const int64_t t = t0 + r, at = (r - r0) * apart(kColumnStep), seen = s.causal ? std::min(s.S, t + 1) : s.S;
              uint64_t bits[DropoutRows::bitWords(kColumnStep)];
              const Kept kept = {bits, bias.dropout.scale()};
              if (bias.dropout.isOn()) {
                bias.dropout.draw((unit * s.T + t) * s.S + j, which.end - j, bits);
                timesKept(kept, scratch.products.get() + at, scratch.products.get() + at, which.end - j);
              }
              softmaxRowGrad(scratch.scores.get() + at, scratch.products.get() + at, position + h * s.distances() + (s.T - 1 - t) + j,
                             mask + b * s.S + j, {most[unit * s.T + t], inverse[unit * s.T + t]}, along[r - r0],
                             std::clamp<int64_t>(seen - j, 0, which.end - j), which.end - j, scratch.probs.get() + r * apart(s.S) + j,
                             scratch.dScores.get() + r * apart(s.S) + j, dByDistances + (s.T - 1 - t) + j);
              if (!bias.dropout.isOn()) continue;
              timesKept(kept, scratch.scores.get() + at, scratch.probs.get() + r * apart(s.S) + j,
                        std::clamp<int64_t>(seen - j, 0, which.end - j));
            }
          });
        }
      }
      scratch.prob.set({scratch.probs.get(), rows, keys, apart(s.S), true});
      scratch.dScore.set({scratch.dScores.get(), rows, keys, apart(s.S), true});
      gemm(scratch.dScore, scratch.key, false, scratch.out.get(), s.K);
      gemm(scratch.queryT, scratch.dScore, true, dkSum, apart(s.S));
      gemm(scratch.dOutT, scratch.prob, true, dvSum, apart(s.S));
      simd([&]() TFJS_TORCH_INLINE_LAMBDA {
        for (int64_t r = 0; r < rows; ++r) {
          T* const to = dq.at(b, h, t0 + r);
#pragma omp simd
          for (int64_t i = 0; i < s.K; ++i) fromFloat(scratch.out[r * s.K + i], to[i]);
        }
      });
    }
    simd([&]() TFJS_TORCH_INLINE_LAMBDA {
      for (int64_t j = 0; j < s.S; ++j) {
        T* const toKey = dk.at(b, h, j);
        T* const toValue = dv.at(b, h, j);
#pragma omp simd
        for (int64_t i = 0; i < s.K; ++i) {
          fromFloat(dkSum[i * apart(s.S) + j], toKey[i]);
          fromFloat(dvSum[i * apart(s.S) + j], toValue[i]);
        }
      }
    });
  });
}

}  // namespace tfjs_torch
