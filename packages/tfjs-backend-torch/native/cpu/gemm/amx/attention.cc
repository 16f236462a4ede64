#include "cpu/gemm/amx/attention.h"

#include <algorithm>
#include <vector>

#include "cpu/gemm/amx/amx_gemm.h"
#include "cpu/gemm/amx/softmax.h"
#include "cpu/gemm/amx/tiles.h"
#include "cpu/tasks.h"

namespace tfjs_torch::amx {

#ifdef TFJS_TORCH_AMX

namespace {

// Queries whose gradients of keys and values are summed up by one product, and panels of keys whose scores are there at a time, in the
// core's first cache.
constexpr int64_t kGradRows = 256, kKeyPanels = 4, kAlongRows = kGradRows / kTerms * kBlock;

// Rows of float32 a power of two apart would meet in the same lines of the cache.
int64_t apart(int64_t columns) { return columns + kLines; }

AMX inline void multiply(const Narrow* left, const Narrow* right, int64_t blocks, bool add, float* sums, int64_t distance) {
  multiplyTiles<Loads::kKept, Loads::kKept>(left, right, blocks, add, {sums, distance * 4}, []() AMX __attribute__((always_inline)){});
}

// All panels of a matrix, one behind the other.
AMX inline void packAll(const NarrowLines& x, bool isLeft, Narrow* to) {
  const int64_t lines = isLeft ? x.rows : x.columns, terms = isLeft ? x.columns : x.rows;
  pack(x, isLeft, {0, ceilDivide(lines, kLines), 0, terms}, to, panelSize(terms));
}

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

// Sums [rows, K] of float32 to rows of bfloat16, each times a scale.
AMX void writeRows(const float* sums, int64_t distance, const float* scales, int64_t rows, int64_t width, Narrow* to, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const __m512 scale = _mm512_set1_ps(scales == nullptr ? 1 : scales[r]);
    for (int64_t c = 0; c < width; c += kLines) {
      const float* const x = sums + r * distance + c;
      const __m512bh narrow =
          _mm512_cvtne2ps_pbh(_mm512_mul_ps(_mm512_loadu_ps(x + kTile), scale), _mm512_mul_ps(_mm512_loadu_ps(x), scale));
      _mm512_mask_storeu_epi16(to + r * stride + c, firstOf32(width - c), reinterpret_cast<__m512i>(narrow));
    }
  }
}

// Sums [K, rows] to the same.
AMX void writeColumns(const float* sums, int64_t distance, int64_t rows, int64_t width, Narrow* to, int64_t stride) {
  for (int64_t r = 0; r < rows; r += kTile) {
    for (int64_t c = 0; c < width; c += kLines) {
      __m512i x[2][16];
      UNROLL for (int half = 0; half < 2; ++half) {
        UNROLL for (int i = 0; i < 16; ++i) x[half][i] = _mm512_loadu_si512(sums + (c + half * kTile + i) * distance + r);
        transpose(x[half]);
      }
      const int64_t count = std::min(rows - r, kTile);
      for (int64_t i = 0; i < count; ++i) {
        const __m512bh narrow = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(x[1][i]), reinterpret_cast<__m512>(x[0][i]));
        _mm512_mask_storeu_epi16(to + (r + i) * stride + c, firstOf32(width - c), reinterpret_cast<__m512i>(narrow));
      }
    }
  }
}

// Sizes that all heads share: panels of keys and of a head's width, and values of such a panel along the width.
struct Sizes {
  int64_t keys, widths, alongWidth, alongKeys;
  explicit Sizes(const AttentionShape& s)
      : keys(ceilDivide(s.S, kLines)), widths(ceilDivide(s.K, kLines)), alongWidth(panelSize(s.K)), alongKeys(panelSize(s.S)) {}
};

// What one head's work needs.
struct Room {
  Narrow *keyT, *value, *query, *weights;
  float *scores, *out;
  int64_t scoreDistance, outDistance;
  Room(Pieces& pieces, const AttentionShape&, const Sizes& n) : scoreDistance(apart(n.keys * kLines)), outDistance(n.widths * kLines) {
    keyT = pieces.take<Narrow>(n.keys * n.alongWidth);
    value = pieces.take<Narrow>(n.widths * n.alongKeys);
    query = pieces.take<Narrow>(n.alongWidth);
    weights = pieces.take<Narrow>(n.alongKeys);
    scores = pieces.take<float>(kLines * scoreDistance);
    out = pieces.take<float>(kLines * outDistance);
  }
};

// The same on the way back, with the sums of keys' and values' gradients, which are transposed.
struct GradRoom {
  Narrow *keyT, *valueT, *key, *query, *dOut, *queryT, *dOutT, *weights, *dScores, *dScoreRows;
  float *scores, *dWeights, *out, *dKeyT, *dValueT, *byDistance;
  int64_t scoreDistance, outDistance, sumDistance, sumCount, distanceCount;
  GradRoom(Pieces& pieces, const AttentionShape& s, const Sizes& n)
      : scoreDistance(apart(kKeyPanels * kLines)),
        outDistance(n.widths * kLines),
        sumDistance(apart(n.keys * kLines)),
        sumCount(outDistance * sumDistance),
        distanceCount(s.distances() + 5 * kLines) {
    keyT = pieces.take<Narrow>(n.keys * n.alongWidth);
    valueT = pieces.take<Narrow>(n.keys * n.alongWidth);
    key = pieces.take<Narrow>(n.widths * n.alongKeys);
    query = pieces.take<Narrow>(n.alongWidth);
    dOut = pieces.take<Narrow>(n.alongWidth);
    queryT = pieces.take<Narrow>(n.widths * kAlongRows);
    dOutT = pieces.take<Narrow>(n.widths * kAlongRows);
    weights = pieces.take<Narrow>(n.keys * kAlongRows);
    dScores = pieces.take<Narrow>(n.keys * kAlongRows);
    dScoreRows = pieces.take<Narrow>(n.alongKeys);
    scores = pieces.take<float>(kLines * scoreDistance);
    dWeights = pieces.take<float>(kLines * scoreDistance);
    out = pieces.take<float>(kLines * outDistance);
    dKeyT = pieces.take<float>(sumCount);
    dValueT = pieces.take<float>(sumCount);
    byDistance = pieces.take<float>(distanceCount);
  }
  // Where a query's distances begin: one after the last query, or one of a block's that are none, has its own place before them.
  float* distancesOf(int64_t T, int64_t t) const { return byDistance + 2 * kLines + (T - 1 - t); }
};

AMX void attendHead(const AttentionShape& s, const HeadOperands& x, const AttentionBias& bias, int64_t unit, float* most, float* inverse,
                    const Room& room) {
  const Sizes n(s);
  const int64_t b = unit / s.H, h = unit % s.H;
  packAll({x.k.at(b, h), s.K, s.S, x.k.stride, false}, false, room.keyT);
  packAll({x.v.at(b, h), s.S, s.K, x.v.stride, true}, false, room.value);
  const float* const position = bias.position.const_data_ptr<float>() + h * s.distances();
  const float* const mask = bias.mask.const_data_ptr<float>() + b * s.S;
  for (int64_t t0 = 0; t0 < s.T; t0 += kLines) {
    const int64_t rows = std::min(kLines, s.T - t0), panels = s.causal ? std::min(n.keys, ceilDivide(t0 + rows, kLines)) : n.keys;
    packAll({x.q.at(b, h, t0), rows, s.K, x.q.stride, true}, true, room.query);
    for (int64_t j = 0; j < panels; ++j) {
      multiply(room.query, room.keyT + j * n.alongWidth, n.widths, false, room.scores + j * kLines, room.scoreDistance);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = t0 + r;
      const RowStatistics row = softmaxRow(room.scores + r * room.scoreDistance, position + (s.T - 1 - t), mask,
                                           s.causal ? std::min(s.S, t + 1) : s.S, panels, room.weights + r * kTerms);
      most[unit * s.T + t] = row.most;
      inverse[unit * s.T + t] = row.inverse;
    }
    for (int64_t c = 0; c < n.widths; ++c) {
      multiply(room.weights, room.value + c * n.alongKeys, panels, false, room.out + c * kLines, room.outDistance);
    }
    writeRows(room.out, room.outDistance, inverse + unit * s.T + t0, rows, s.K, x.ctx.at(b, h, t0), x.ctx.stride);
  }
}

// Of 32 queries, the first at `row` of its block: weights and scores' gradients of so many panels of keys.
AMX void gradientPanels(const AttentionShape& s, const GradRoom& room, const GradRow* queries, int64_t t0, int64_t row, int64_t panels,
                        const float* mask) {
  const Sizes n(s);
  for (int64_t first = 0; first < panels; first += kKeyPanels) {
    const int64_t count = std::min(kKeyPanels, panels - first), j = first * kLines;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = (first + i) * n.alongWidth;
      multiply(room.query, room.keyT + at, n.widths, false, room.scores + i * kLines, room.scoreDistance);
      multiply(room.dOut, room.valueT + at, n.widths, false, room.dWeights + i * kLines, room.scoreDistance);
    }
    for (int64_t r = 0; r < kLines; r += 2) {
      GradRow pair[2] = {queries[r], queries[r + 1]};
      for (int64_t i = 0; i < 2; ++i) {
        pair[i].score = room.scores + (r + i) * room.scoreDistance;
        pair[i].dWeight = room.dWeights + (r + i) * room.scoreDistance;
        pair[i].byDistance += j;
        pair[i].seen -= j;
      }
      const int64_t at = first * kAlongRows + row * kLines + r / 2 * kTerms;
      softmaxRowsGrad(pair, mask + j, count,
                      {room.weights + at, room.dScores + at, room.dScoreRows + first * kBlock + r * kTerms, kAlongRows,
                       room.distancesOf(s.T, t0 + row + r + 1) + j});
    }
  }
}

AMX void attendHeadGrad(const AttentionShape& s, const HeadOperands& x, const HeadRows<Narrow>& dctx, const AttentionBias& bias,
                        int64_t unit, const float* most, const float* inverse, const HeadGradients& gradients, float* dPosition,
                        const GradRoom& room) {
  const Sizes n(s);
  const int64_t b = unit / s.H, h = unit % s.H;
  packAll({x.k.at(b, h), s.K, s.S, x.k.stride, false}, false, room.keyT);
  packAll({x.v.at(b, h), s.K, s.S, x.v.stride, false}, false, room.valueT);
  packAll({x.k.at(b, h), s.S, s.K, x.k.stride, true}, false, room.key);
  std::fill_n(room.dKeyT, room.sumCount, 0.0f);
  std::fill_n(room.dValueT, room.sumCount, 0.0f);
  std::fill_n(room.byDistance, room.distanceCount, 0.0f);
  const float* const position = bias.position.const_data_ptr<float>() + h * s.distances();
  const float* const mask = bias.mask.const_data_ptr<float>() + b * s.S;
  for (int64_t t0 = 0; t0 < s.T; t0 += kGradRows) {
    const int64_t rows = std::min(kGradRows, s.T - t0), panels = s.causal ? std::min(n.keys, ceilDivide(t0 + rows, kLines)) : n.keys;
    packAll({x.q.at(b, h, t0), s.K, rows, x.q.stride, false}, true, room.queryT);
    packAll({dctx.at(b, h, t0), s.K, rows, dctx.stride, false}, true, room.dOutT);
    for (int64_t row = 0; row < rows; row += kLines) {
      const int64_t count = std::min(kLines, rows - row);
      packAll({x.q.at(b, h, t0 + row), count, s.K, x.q.stride, true}, true, room.query);
      packAll({dctx.at(b, h, t0 + row), count, s.K, dctx.stride, true}, true, room.dOut);
      // Queries beyond the last see no key.
      GradRow queries[kLines] = {};
      for (int64_t r = 0; r < count; ++r) {
        const int64_t t = t0 + row + r, of = unit * s.T + t;
        const float along = vectors::dot(x.ctx.at(b, h, t), dctx.at(b, h, t), s.K);
        queries[r] = {nullptr, nullptr, position + (s.T - 1 - t), most[of], inverse[of], along, s.causal ? std::min(s.S, t + 1) : s.S};
      }
      gradientPanels(s, room, queries, t0, row, panels, mask);
      for (int64_t c = 0; c < n.widths; ++c) {
        multiply(room.dScoreRows, room.key + c * n.alongKeys, panels, false, room.out + c * kLines, room.outDistance);
      }
      writeRows(room.out, room.outDistance, nullptr, count, s.K, gradients.dq.at(b, h, t0 + row), gradients.dq.stride);
    }
    const int64_t blocks = ceilDivide(rows, kTerms);
    for (int64_t j = 0; j < panels; ++j) {
      for (int64_t c = 0; c < n.widths; ++c) {
        const int64_t left = c * panelSize(rows), right = j * kAlongRows, to = c * kLines * room.sumDistance + j * kLines;
        multiply(room.queryT + left, room.dScores + right, blocks, true, room.dKeyT + to, room.sumDistance);
        multiply(room.dOutT + left, room.weights + right, blocks, true, room.dValueT + to, room.sumDistance);
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
void forHeads(const AttentionShape& s, const F& body) {
  const Sizes n(s);
  Pieces counted{nullptr};
  OneRoom(counted, s, n);
  const int64_t bytes = reinterpret_cast<intptr_t>(counted.next);
  at::Tensor memory = at::empty({workersHere(), bytes}, at::TensorOptions().dtype(at::kByte));
  char* const start = static_cast<char*>(memory.mutable_data_ptr());
  forTasks(s.B * s.H, [&](int64_t worker, int64_t unit) {
    const Tiles tiles;
    Pieces pieces{start + worker * bytes};
    body(unit, OneRoom(pieces, s, n));
  });
}

}  // namespace

void attendHeads(const AttentionShape& s, const HeadOperands& x, const AttentionBias& bias, float* most, float* inverse) {
  forHeads<Room>(s, [&](int64_t unit, const Room& room) { attendHead(s, x, bias, unit, most, inverse, room); });
}

void attendHeadsGrad(const AttentionShape& s, const HeadOperands& x, const HeadRows<c10::BFloat16>& dctx, const AttentionBias& bias,
                     const float* most, const float* inverse, const HeadGradients& gradients, float* dPosition) {
  forHeads<GradRoom>(
      s, [&](int64_t unit, const GradRoom& room) { attendHeadGrad(s, x, dctx, bias, unit, most, inverse, gradients, dPosition, room); });
}

#else

void attendHeads(const AttentionShape&, const HeadOperands&, const AttentionBias&, float*, float*) {
  TORCH_CHECK(false, "not in this build");
}
void attendHeadsGrad(const AttentionShape&, const HeadOperands&, const HeadRows<c10::BFloat16>&, const AttentionBias&, const float*,
                     const float*, const HeadGradients&, float*) {
  TORCH_CHECK(false, "not in this build");
}

#endif

}  // namespace tfjs_torch::amx
