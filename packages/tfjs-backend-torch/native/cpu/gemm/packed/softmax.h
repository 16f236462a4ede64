#pragma once

// Softmax of scores [32, keys] and its gradient, written as the panels that are multiplied next.

#include "cpu/gemm/packed/panels.h"
#include "t5/dropout.h"

#ifdef TFJS_TORCH_PACKED

#include <limits>

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

// e^x, 0 where `which` says so: as exact as E shows.
template <typename E>
TFJS_TORCH_TARGET_PACKED inline __m512 exponential(__m512 x, __mmask16 which) {
  if constexpr (std::is_same_v<E, float>)
    return vectors::exactExponential(x, which);
  else
    return vectors::exponential(x, which);
}

// 16 values from j on times dropout's factors.
TFJS_TORCH_TARGET_PACKED inline __m512 timesKept(__m512 x, const Kept& kept, int64_t j) {
  return _mm512_maskz_mul_ps(static_cast<__mmask16>(kept.bits[j / 64] >> (j % 64)), x, _mm512_set1_ps(kept.scale));
}

// One query's scores become weights without the division by their sum: a row of the panels [keys / 32] of a left operand. Keys from `seen`
// on get none. Changes scores. With dropout weights that are kept are multiplied by its scale, the rest are 0, and their sum is of all.
struct HeadStatistics {
  float most, inverse;
};
template <typename E, bool kDrops = false>
TFJS_TORCH_TARGET_PACKED inline HeadStatistics softmaxRow(float* score, const float* byDistance, const float* byKey, int64_t seen,
                                                          int64_t panels, E* to, [[maybe_unused]] const Kept& kept = {}) {
  const __m512 least = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 most = least;
  for (int64_t j = 0; j < seen; j += kTile) {
    const __mmask16 which = firstOf16(seen - j);
    const __m512 bias = _mm512_add_ps(_mm512_maskz_loadu_ps(which, byDistance + j), _mm512_maskz_loadu_ps(which, byKey + j));
    const __m512 x = _mm512_add_ps(_mm512_loadu_ps(score + j), bias);
    _mm512_storeu_ps(score + j, x);
    most = _mm512_mask_max_ps(most, which, most, x);
  }
  const float top = _mm512_reduce_max_ps(most);
  const __m512 shift = _mm512_set1_ps(top);
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t panel = 0, j = 0; panel < panels; ++panel, j += kLines, to += Layout<E>::kPanelTerms) {
    __m512 x = exponential<E>(_mm512_sub_ps(_mm512_loadu_ps(score + j), shift), firstOf16(seen - j));
    __m512 y = exponential<E>(_mm512_sub_ps(_mm512_loadu_ps(score + j + kTile), shift), firstOf16(seen - j - kTile));
    sums[0] = _mm512_add_ps(sums[0], x);
    sums[1] = _mm512_add_ps(sums[1], y);
    if constexpr (kDrops) {
      x = timesKept(x, kept, j);
      y = timesKept(y, kept, j + kTile);
    }
    if constexpr (std::is_same_v<E, float>) {
      _mm512_store_ps(to, x);
      _mm512_store_ps(to + Layout<E>::kBlock, y);
    } else {
      _mm512_store_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
    }
  }
  return {top, 1 / _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))};
}

// One query of the two that are worked on together.
struct GradRow {
  const float *score, *dWeight, *byDistance;
  float most, inverse, along;
  int64_t seen;
  const uint64_t* kept;  // bits of dropout; null without
};

// Where its gradients go: weights and their gradients as columns of right operands, the latter as rows of a left one too, and summed by
// distance.
template <typename E>
struct GradPanels {
  E *weight, *dScore, *dScoreRow;
  int64_t distance;   // between panels of the right operands
  float* byDistance;  // of the second query; the first one's lie one further
};

// weight = e^(score - most)·inverse, dScore = weight (dWeight - along), of a pair of queries and so many panels of keys. With dropout
// dWeight is multiplied by its factor first, and so is what is stored of the weight.
template <typename E, bool kDrops = false>
TFJS_TORCH_TARGET_PACKED inline void softmaxRowsGrad(const GradRow (&rows)[2], const float* byKey, int64_t panels, const GradPanels<E>& to,
                                                     [[maybe_unused]] float scale = 1) {
  [[maybe_unused]] const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                                          20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  __m512i before = _mm512_setzero_si512();
  for (int64_t panel = 0; panel < panels; ++panel) {
    TFJS_TORCH_UNROLL for (int64_t half = 0; half < 2; ++half) {
      const int64_t j = panel * kLines + half * kTile;
      __m512 weight[2], d[2];
      TFJS_TORCH_UNROLL for (int i = 0; i < 2; ++i) {
        const GradRow& row = rows[i];
        const __mmask16 which = firstOf16(row.seen - j);
        const __m512 bias = _mm512_add_ps(_mm512_maskz_loadu_ps(which, row.byDistance + j), _mm512_maskz_loadu_ps(which, byKey + j));
        const __m512 x = _mm512_sub_ps(_mm512_add_ps(_mm512_loadu_ps(row.score + j), bias), _mm512_set1_ps(row.most));
        weight[i] = _mm512_mul_ps(exponential<E>(x, which), _mm512_set1_ps(row.inverse));
        __m512 dWeight = _mm512_loadu_ps(row.dWeight + j);
        if constexpr (kDrops) dWeight = timesKept(dWeight, {row.kept, scale}, j);
        d[i] = _mm512_maskz_mul_ps(which, weight[i], _mm512_sub_ps(dWeight, _mm512_set1_ps(row.along)));
        if constexpr (kDrops) weight[i] = timesKept(weight[i], {row.kept, scale}, j);
      }
      const int64_t at = panel * to.distance + half * Layout<E>::kTileSize;
      if constexpr (std::is_same_v<E, float>) {
        TFJS_TORCH_UNROLL for (int i = 0; i < 2; ++i) {
          _mm512_store_ps(to.weight + at + i * kTile, weight[i]);
          _mm512_store_ps(to.dScore + at + i * kTile, d[i]);
          _mm512_store_ps(to.dScoreRow + (2 * panel + half) * Layout<E>::kBlock + i * kTile, d[i]);
        }
      } else {
        const __m512i weights = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(weight[1], weight[0]));
        const __m512i ds = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(d[1], d[0]));
        _mm512_store_si512(to.weight + at, _mm512_permutexvar_epi16(pairs, weights));
        _mm512_store_si512(to.dScore + at, _mm512_permutexvar_epi16(pairs, ds));
        E* const row = to.dScoreRow + panel * Layout<E>::kBlock + half * kTile;
        _mm256_store_si256(reinterpret_cast<__m256i*>(row), _mm512_castsi512_si256(ds));
        _mm256_store_si256(reinterpret_cast<__m256i*>(row + Layout<E>::kTerms), _mm512_extracti64x4_epi64(ds, 1));
      }
      // Both queries' gradients by distance: the first one's moved by one.
      const __m512i first = reinterpret_cast<__m512i>(d[0]);
      const __m512 both = _mm512_add_ps(d[1], reinterpret_cast<__m512>(_mm512_alignr_epi32(first, before, 15)));
      before = first;
      _mm512_storeu_ps(to.byDistance + j, _mm512_add_ps(_mm512_loadu_ps(to.byDistance + j), both));
    }
  }
  const __m512 last = reinterpret_cast<__m512>(_mm512_alignr_epi32(_mm512_setzero_si512(), before, 15));
  to.byDistance[panels * kLines] += _mm512_cvtss_f32(last);
}

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
