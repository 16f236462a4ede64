#pragma once

// Attention's heads by panels, for any microkernel: softmax and its gradient write what is multiplied next as panels, so nothing is packed
// between the products.

#include <algorithm>
#include <vector>

#include "cpu/gemm/packed/gemm.h"
#include "cpu/gemm/packed/softmax.h"
#include "cpu/simd.h"

#ifdef TFJS_TORCH_PACKED

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

// Queries whose gradients of keys and values are summed up by one product, and panels of keys whose scores are there at a time, in the
// core's first cache.
inline constexpr int64_t kHeadGradRows = 256, kKeyPanels = 4, kAlongRows = kHeadGradRows * kLines;
static_assert(kKeyPanels * kLines % 64 == 0, "bits of dropout begin with a word");

// Rows of float32 a power of two apart would meet in the same lines of the cache.
inline int64_t padded(int64_t columns) { return columns + kLines; }

inline int64_t linesOf(int64_t all, int64_t panel) { return std::min(all - panel * kLines, kLines); }

// Takes one piece of memory after another.
struct Pieces {
  char* next;
  template <typename T>
  T* take(int64_t count) {
    T* const at = reinterpret_cast<T*>(next);
    next += ceilDivide(count * static_cast<int64_t>(sizeof(T)), 64) * 64;
    return at;
  }
};

// All panels of a matrix, one behind the other.
template <typename E>
TFJS_TORCH_TARGET_PACKED inline void packAll(const Lines<E>& x, bool isLeft, E* to) {
  const int64_t lines = isLeft ? x.rows : x.columns, terms = isLeft ? x.columns : x.rows;
  pack(Operand(x), isLeft, {0, ceilDivide(lines, kLines), 0, terms}, to, panelSize<E>(terms));
}

// 32 sums to E, the first so many of them.
template <typename E>
TFJS_TORCH_TARGET_PACKED inline void storeLine(__m512 low, __m512 high, E* to, int64_t count) {
  if constexpr (std::is_same_v<E, float>) {
    _mm512_mask_storeu_ps(to, firstOf16(count), low);
    _mm512_mask_storeu_ps(to + kTile, firstOf16(count - kTile), high);
  } else {
    _mm512_mask_storeu_epi16(to, firstOf32(count), reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
}

// Sums [rows, K] to rows of E, each times a scale.
template <typename E>
TFJS_TORCH_TARGET_PACKED void writeRows(const float* sums, int64_t distance, const float* scales, int64_t rows, int64_t width, E* to,
                                        int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const __m512 scale = _mm512_set1_ps(scales == nullptr ? 1 : scales[r]);
    for (int64_t c = 0; c < width; c += kLines) {
      const float* const x = sums + r * distance + c;
      storeLine(_mm512_mul_ps(_mm512_loadu_ps(x), scale), _mm512_mul_ps(_mm512_loadu_ps(x + kTile), scale), to + r * stride + c, width - c);
    }
  }
}

// Sums [K, rows] to the same.
template <typename E>
TFJS_TORCH_TARGET_PACKED void writeColumns(const float* sums, int64_t distance, int64_t rows, int64_t width, E* to, int64_t stride) {
  for (int64_t r = 0; r < rows; r += kTile) {
    for (int64_t c = 0; c < width; c += kLines) {
      __m512i x[2][16];
      TFJS_TORCH_UNROLL for (int half = 0; half < 2; ++half) {
        TFJS_TORCH_UNROLL for (int i = 0; i < 16; ++i) x[half][i] = _mm512_loadu_si512(sums + (c + half * kTile + i) * distance + r);
        transpose(x[half]);
      }
      const int64_t count = std::min(rows - r, kTile);
      for (int64_t i = 0; i < count; ++i) {
        storeLine(_mm512_castsi512_ps(x[0][i]), _mm512_castsi512_ps(x[1][i]), to + (r + i) * stride + c, width - c);
      }
    }
  }
}

// Sizes that all heads share: panels of keys and of a head's width, blocks and values of such a panel along the width and the keys.
template <typename E>
struct Sizes {
  int64_t keys, widths, widthBlocks, keyBlocks, alongWidth, alongKeys;
  explicit Sizes(const AttentionShape& s)
      : keys(ceilDivide(s.S, kLines)),
        widths(ceilDivide(s.K, kLines)),
        widthBlocks(ceilDivide(s.K, Layout<E>::kTerms)),
        keyBlocks(ceilDivide(s.S, Layout<E>::kTerms)),
        alongWidth(panelSize<E>(s.K)),
        alongKeys(panelSize<E>(s.S)) {}
  // Blocks of so many panels of keys: weights of keys beyond the last are 0, what they would meet is not there.
  int64_t blocksOf(int64_t panels) const { return std::min(panels * Layout<E>::kPanelBlocks, keyBlocks); }
};

// What one head's work needs.
template <typename E>
struct Room {
  E *keyT, *value, *query, *weights;
  float *scores, *out;
  uint64_t* kept;
  int64_t scoreDistance, outDistance;
  Room(Pieces& pieces, const AttentionShape& s, const Sizes<E>& n)
      : scoreDistance(padded(n.keys * kLines)), outDistance(n.widths * kLines) {
    keyT = pieces.take<E>(n.keys * n.alongWidth);
    value = pieces.take<E>(n.widths * n.alongKeys);
    query = pieces.take<E>(n.alongWidth);
    weights = pieces.take<E>(n.keys * Layout<E>::kPanelTerms);
    scores = pieces.take<float>(kLines * scoreDistance);
    out = pieces.take<float>(kLines * outDistance);
    kept = pieces.take<uint64_t>(DropoutRows::bitWords(s.S));
  }
};

// The same on the way back, with the sums of keys' and values' gradients, which are transposed.
template <typename E>
struct GradRoom {
  E *keyT, *valueT, *key, *query, *dOut, *queryT, *dOutT, *weights, *dScores, *dScoreRows;
  float *scores, *dWeights, *out, *dKeyT, *dValueT, *byDistance;
  uint64_t* kept;  // by query of 32
  int64_t scoreDistance, outDistance, sumDistance, sumCount, distanceCount, keptDistance;
  GradRoom(Pieces& pieces, const AttentionShape& s, const Sizes<E>& n)
      : scoreDistance(padded(kKeyPanels * kLines)),
        outDistance(n.widths * kLines),
        sumDistance(padded(n.keys * kLines)),
        sumCount(outDistance * sumDistance),
        distanceCount(s.distances() + 5 * kLines),
        keptDistance(DropoutRows::bitWords(n.keys * kLines)) {
    keyT = pieces.take<E>(n.keys * n.alongWidth);
    valueT = pieces.take<E>(n.keys * n.alongWidth);
    key = pieces.take<E>(n.widths * n.alongKeys);
    query = pieces.take<E>(n.alongWidth);
    dOut = pieces.take<E>(n.alongWidth);
    queryT = pieces.take<E>(n.widths * kAlongRows);
    dOutT = pieces.take<E>(n.widths * kAlongRows);
    weights = pieces.take<E>(n.keys * kAlongRows);
    dScores = pieces.take<E>(n.keys * kAlongRows);
    dScoreRows = pieces.take<E>(n.keys * Layout<E>::kPanelTerms);
    scores = pieces.take<float>(kLines * scoreDistance);
    dWeights = pieces.take<float>(kLines * scoreDistance);
    out = pieces.take<float>(kLines * outDistance);
    dKeyT = pieces.take<float>(sumCount);
    dValueT = pieces.take<float>(sumCount);
    byDistance = pieces.take<float>(distanceCount);
    kept = pieces.take<uint64_t>(kLines * keptDistance);
  }
  // Where a query's distances begin: one after the last query, or one of a block's that are none, has its own place before them.
  float* distancesOf(int64_t T, int64_t t) const { return byDistance + 2 * kLines + (T - 1 - t); }
};

template <typename U>
struct Heads {
  using E = typename U::Element;

  static void attend(const AttentionShape& s, const HeadOperands<E>& x, const AttentionBias& bias, float* most, float* inverse) {
    forHeads<Room<E>>(s, [&](int64_t unit, const Room<E>& room) { attendHead(s, x, bias, unit, most, inverse, room); });
  }

  static void attendGrad(const AttentionShape& s, const HeadOperands<E>& x, const HeadRows<E>& dctx, const AttentionBias& bias,
                         const float* most, const float* inverse, const HeadGradients<E>& gradients, float* dPosition) {
    forHeads<GradRoom<E>>(s, [&](int64_t unit, const GradRoom<E>& room) {
      attendHeadGrad(s, x, dctx, bias, unit, most, inverse, gradients, dPosition, room);
    });
  }

 private:
  // Up to 32 rows as a left operand: where they lie, if their terms are whole blocks, or packed.
  TFJS_TORCH_TARGET_PACKED static LeftOperand<E> rowsOf(const Lines<E>& x, E* room) {
    if (U::kTakesAnyLeft && x.columns % Layout<E>::kTerms == 0 && x.rows % 8 == 0) return LeftOperand<E>::rows(x.data, x.distance);
    packAll<E>(x, true, room);
    return LeftOperand<E>::panel(room);
  }

  // Columns as the rows of a left operand.
  TFJS_TORCH_TARGET_PACKED static void packColumns(const Lines<E>& x, E* to) {
    packLeft<U>(Operand(x), {0, ceilDivide(x.rows, kLines), 0, x.columns}, to, panelSize<E>(x.columns));
  }

  TFJS_TORCH_TARGET_PACKED static void multiply(const LeftOperand<E>& left, const E* right, int64_t blocks, int64_t rows, bool add,
                                                float* sums, int64_t distance) {
    U::template multiply<Loads::kKept, Loads::kKept>(left, right, blocks, rows, add, {sums, distance * 4},
                                                     []() TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)){});
  }

  TFJS_TORCH_TARGET_PACKED static void attendHead(const AttentionShape& s, const HeadOperands<E>& x, const AttentionBias& bias,
                                                  int64_t unit, float* most, float* inverse, const Room<E>& room) {
    const Sizes<E> n(s);
    const int64_t b = unit / s.H, h = unit % s.H;
    packAll<E>({x.k.at(b, h), s.K, s.S, x.k.stride, false}, false, room.keyT);
    packAll<E>({x.v.at(b, h), s.S, s.K, x.v.stride, true}, false, room.value);
    const float* const position = bias.position.const_data_ptr<float>() + h * s.distances();
    const float* const mask = bias.mask.const_data_ptr<float>() + b * s.S;
    for (int64_t t0 = 0; t0 < s.T; t0 += kLines) {
      const int64_t rows = std::min(kLines, s.T - t0), panels = s.causal ? std::min(n.keys, ceilDivide(t0 + rows, kLines)) : n.keys;
      const LeftOperand<E> query = rowsOf({x.q.at(b, h, t0), rows, s.K, x.q.stride, true}, room.query);
      for (int64_t j = 0; j < panels; ++j) {
        multiply(query, room.keyT + j * n.alongWidth, n.widthBlocks, rows, false, room.scores + j * kLines, room.scoreDistance);
      }
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t t = t0 + r;
        const int64_t seen = s.causal ? std::min(s.S, t + 1) : s.S;
        float* const scores = room.scores + r * room.scoreDistance;
        E* const weights = room.weights + r * Layout<E>::kTerms;
        HeadStatistics row;
        if (bias.dropout.isOn()) {
          bias.dropout.draw((unit * s.T + t) * s.S, seen, room.kept);
          row = softmaxRow<E, true>(scores, position + (s.T - 1 - t), mask, seen, panels, weights, {room.kept, bias.dropout.scale()});
        } else {
          row = softmaxRow<E>(scores, position + (s.T - 1 - t), mask, seen, panels, weights);
        }
        most[unit * s.T + t] = row.most;
        inverse[unit * s.T + t] = row.inverse;
      }
      for (int64_t c = 0; c < n.widths; ++c) {
        multiply(LeftOperand<E>::panel(room.weights), room.value + c * n.alongKeys, n.blocksOf(panels), rows, false, room.out + c * kLines,
                 room.outDistance);
      }
      writeRows(room.out, room.outDistance, inverse + unit * s.T + t0, rows, s.K, x.ctx.at(b, h, t0), x.ctx.stride);
    }
  }

  // Of 32 queries, the first at `row` of its block: weights and scores' gradients of so many panels of keys.
  TFJS_TORCH_TARGET_PACKED static void gradientPanels(const AttentionShape& s, const GradRoom<E>& room, const LeftOperand<E>& query,
                                                      const LeftOperand<E>& dOut, const GradRow* queries, int64_t t0, int64_t row,
                                                      int64_t count, int64_t panels, const float* mask, const DropoutRows& dropout) {
    const Sizes<E> n(s);
    for (int64_t first = 0; first < panels; first += kKeyPanels) {
      const int64_t many = std::min(kKeyPanels, panels - first), j = first * kLines;
      for (int64_t i = 0; i < many; ++i) {
        const int64_t at = (first + i) * n.alongWidth;
        multiply(query, room.keyT + at, n.widthBlocks, count, false, room.scores + i * kLines, room.scoreDistance);
        multiply(dOut, room.valueT + at, n.widthBlocks, count, false, room.dWeights + i * kLines, room.scoreDistance);
      }
      for (int64_t r = 0; r < kLines; r += 2) {
        GradRow pair[2] = {queries[r], queries[r + 1]};
        for (int64_t i = 0; i < 2; ++i) {
          pair[i].score = room.scores + (r + i) * room.scoreDistance;
          pair[i].dWeight = room.dWeights + (r + i) * room.scoreDistance;
          pair[i].byDistance += j;
          pair[i].seen -= j;
          pair[i].kept += j / 64;
        }
        const int64_t at = first * kAlongRows + Layout<E>::termAt(row + r);
        const GradPanels<E> to = {room.weights + at, room.dScores + at,
                                  room.dScoreRows + first * Layout<E>::kPanelTerms + r * Layout<E>::kTerms, kAlongRows,
                                  room.distancesOf(s.T, t0 + row + r + 1) + j};
        if (dropout.isOn())
          softmaxRowsGrad<E, true>(pair, mask + j, many, to, dropout.scale());
        else
          softmaxRowsGrad<E>(pair, mask + j, many, to);
      }
    }
  }

  TFJS_TORCH_TARGET_PACKED static float along(const E* x, const E* y, int64_t n) {
    if constexpr (std::is_same_v<E, float>) {
      __m512 sum = _mm512_setzero_ps();
      for (int64_t i = 0; i < n; i += kTile) {
        const __mmask16 which = firstOf16(n - i);
        sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(which, x + i), _mm512_maskz_loadu_ps(which, y + i), sum);
      }
      return _mm512_reduce_add_ps(sum);
    } else {
      return vectors::dot(x, y, n);
    }
  }

  TFJS_TORCH_TARGET_PACKED static void attendHeadGrad(const AttentionShape& s, const HeadOperands<E>& x, const HeadRows<E>& dctx,
                                                      const AttentionBias& bias, int64_t unit, const float* most, const float* inverse,
                                                      const HeadGradients<E>& gradients, float* dPosition, const GradRoom<E>& room) {
    const Sizes<E> n(s);
    const int64_t b = unit / s.H, h = unit % s.H;
    packAll<E>({x.k.at(b, h), s.K, s.S, x.k.stride, false}, false, room.keyT);
    packAll<E>({x.v.at(b, h), s.K, s.S, x.v.stride, false}, false, room.valueT);
    packAll<E>({x.k.at(b, h), s.S, s.K, x.k.stride, true}, false, room.key);
    std::fill_n(room.dKeyT, room.sumCount, 0.0f);
    std::fill_n(room.dValueT, room.sumCount, 0.0f);
    std::fill_n(room.byDistance, room.distanceCount, 0.0f);
    const float* const position = bias.position.const_data_ptr<float>() + h * s.distances();
    const float* const mask = bias.mask.const_data_ptr<float>() + b * s.S;
    for (int64_t t0 = 0; t0 < s.T; t0 += kHeadGradRows) {
      const int64_t rows = std::min(kHeadGradRows, s.T - t0), panels = s.causal ? std::min(n.keys, ceilDivide(t0 + rows, kLines)) : n.keys;
      packColumns({x.q.at(b, h, t0), s.K, rows, x.q.stride, false}, room.queryT);
      packColumns({dctx.at(b, h, t0), s.K, rows, dctx.stride, false}, room.dOutT);
      for (int64_t row = 0; row < rows; row += kLines) {
        const int64_t count = std::min(kLines, rows - row);
        const LeftOperand<E> query = rowsOf({x.q.at(b, h, t0 + row), count, s.K, x.q.stride, true}, room.query);
        const LeftOperand<E> dOut = rowsOf({dctx.at(b, h, t0 + row), count, s.K, dctx.stride, true}, room.dOut);
        // Queries beyond the last see no key.
        GradRow queries[kLines] = {};
        for (int64_t r = 0; r < kLines; ++r) queries[r].kept = room.kept + r * room.keptDistance;
        for (int64_t r = 0; r < count; ++r) {
          const int64_t t = t0 + row + r, of = unit * s.T + t;
          const int64_t seen = s.causal ? std::min(s.S, t + 1) : s.S;
          if (bias.dropout.isOn()) bias.dropout.draw(of * s.S, seen, room.kept + r * room.keptDistance);
          queries[r] = {nullptr,
                        nullptr,
                        position + (s.T - 1 - t),
                        most[of],
                        inverse[of],
                        along(x.ctx.at(b, h, t), dctx.at(b, h, t), s.K),
                        seen,
                        room.kept + r * room.keptDistance};
        }
        gradientPanels(s, room, query, dOut, queries, t0, row, count, panels, mask, bias.dropout);
        for (int64_t c = 0; c < n.widths; ++c) {
          multiply(LeftOperand<E>::panel(room.dScoreRows), room.key + c * n.alongKeys, n.blocksOf(panels), count, false,
                   room.out + c * kLines, room.outDistance);
        }
        writeRows<E>(room.out, room.outDistance, nullptr, count, s.K, gradients.dq.at(b, h, t0 + row), gradients.dq.stride);
      }
      const int64_t blocks = ceilDivide(rows, Layout<E>::kTerms);
      const auto layout = U::kTakesAnyLeft ? LeftOperand<E>::columns(nullptr) : LeftOperand<E>::panel(nullptr);
      for (int64_t j = 0; j < panels; ++j) {
        for (int64_t c = 0; c < n.widths; ++c) {
          const int64_t left = c * panelSize<E>(rows), right = j * kAlongRows, to = c * kLines * room.sumDistance + j * kLines;
          multiply(layout.at(room.queryT + left), room.dScores + right, blocks, linesOf(s.K, c), true, room.dKeyT + to, room.sumDistance);
          multiply(layout.at(room.dOutT + left), room.weights + right, blocks, linesOf(s.K, c), true, room.dValueT + to, room.sumDistance);
        }
      }
    }
    writeColumns(room.dKeyT, room.sumDistance, s.S, s.K, gradients.dk.at(b, h), gradients.dk.stride);
    writeColumns(room.dValueT, room.sumDistance, s.S, s.K, gradients.dv.at(b, h), gradients.dv.stride);
    const float* const byDistance = room.distancesOf(s.T, s.T - 1);
    for (int64_t i = 0; i < s.distances(); ++i) dPosition[unit * s.distances() + i] += byDistance[i];
  }

  // body(unit, room) for each head of each sequence, with room of its worker's.
  template <typename OneRoom, typename F>
  static void forHeads(const AttentionShape& s, const F& body) {
    const Sizes<E> n(s);
    Pieces counted{nullptr};
    OneRoom(counted, s, n);
    const int64_t bytes = reinterpret_cast<intptr_t>(counted.next);
    at::Tensor memory = at::empty({workersHere(), bytes}, at::TensorOptions().dtype(at::kByte));
    char* const start = static_cast<char*>(memory.mutable_data_ptr());
    forTasks(s.B * s.H, [&](int64_t worker, int64_t unit) {
      [[maybe_unused]] const typename U::Scope scope;
      Pieces pieces{start + worker * bytes};
      body(unit, OneRoom(pieces, s, n));
    });
  }
};

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
