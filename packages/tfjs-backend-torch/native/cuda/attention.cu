// T5's attention over heads of 64, forward and backward, without a matrix of scores in memory: tiles of keys pass a block that holds a
// tile of queries in registers (Dao, FlashAttention-2, arXiv 2307.08691), or the other way round for the gradients of keys and values.
// Scores, softmax and sums are float32. The bias by relative position is a table by head and distance, as is its gradient, which is
// added up in a fixed order. No atomics: the same input gives the same bits.
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/mma.cuh"
#include "cuda/row_math.cuh"

namespace tfjs_torch::cuda {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kWidth = 64;  // of a head
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarpThreads;
constexpr int kTile = 64;            // rows of a tile, 16 a warp where they are in registers
constexpr int kSteps = kWidth / 16;  // A of a row tile
constexpr int kColumns = kTile / 8;  // tiles of sums side by side
constexpr int kPitch = kWidth + 8;   // of a tile in shared memory: no two lanes meet in a bank
constexpr float kMasked = -1e9f;     // t5/attention.cc has the same

// Where a head's rows lie: stride values from one row to the next.
struct Rows {
  const bf16* base;
  int64_t stride;
  int64_t count;
  __device__ const bf16* at(int64_t r) const { return base + r * stride; }
};

__device__ inline Rows rowsOf(const AttentionOperand& x, int64_t b, int64_t h) {
  return {static_cast<const bf16*>(x.base) + b * x.rows * x.stride + h * kWidth, x.stride, x.rows};
}

// Rows first to first + 63 into shared memory; zeros beyond the last.
__device__ inline void loadTile(const Rows& from, int64_t first, bf16 (*to)[kPitch]) {
  for (int i = threadIdx.x; i < kTile * kWidth / 8; i += kThreads) {
    const int row = i / (kWidth / 8), column = i % (kWidth / 8) * 8;
    Pack<bf16, 8> x{};
    if (first + row < from.count) x = loadPack<8>(from.at(first + row) + column);
    storePack(x, &to[row][column]);
  }
}

__device__ inline uint32_t pairAt(const bf16* at) { return *reinterpret_cast<const uint32_t*>(at); }

// 16 rows from `first` on as A, in registers; zeros beyond the last.
__device__ inline void loadOperand(const Rows& from, int64_t first, uint32_t (&a)[kSteps][4]) {
  const int lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t row = first + g + i % 2 * 8;
      a[s][i] = row < from.count ? pairAt(from.at(row) + s * 16 + c + i / 2 * 8) : 0;
    }
  }
}

// sums [16, 64 rows of the tile] += a·tileᵀ
__device__ inline void timesTransposed(float (&sums)[kColumns][4], const uint32_t (&a)[kSteps][4], const bf16 (*tile)[kPitch]) {
  const int lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
#pragma unroll
  for (int n = 0; n < kColumns; ++n) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      const bf16* const at = &tile[n * 8 + g][s * 16 + c];
      multiplyAdd(sums[n], a[s], pairAt(at), pairAt(at + 8));
    }
  }
}

// sums [16, 64] += weights [16, 64 rows of the tile]·tile, the weights rounded to bfloat16
__device__ inline void times(float (&sums)[kColumns][4], const float (&weights)[kColumns][4], const bf16 (*tile)[kPitch]) {
  const int lane = threadIdx.x % kWarpThreads;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    const float(&left)[4] = weights[2 * s];
    const float(&right)[4] = weights[2 * s + 1];
    const uint32_t a[4] = {packPair(left[0], left[1]), packPair(left[2], left[3]), packPair(right[0], right[1]),
                           packPair(right[2], right[3])};
#pragma unroll
    for (int n = 0; n < kColumns; n += 2) {
      uint32_t b[4];
      loadTransposed(b, &tile[s * 16 + lane % 16][n * 8 + lane / 16 * 8]);
      multiplyAdd(sums[n], a, b[0], b[1]);
      multiplyAdd(sums[n + 1], a, b[2], b[3]);
    }
  }
}

// 16 rows of sums as bfloat16, the first two values of a register four in row g, the others in row g + 8.
__device__ inline void storeRows(const float (&sums)[kColumns][4], float top, float bottom, bf16* base, int64_t stride, int64_t first,
                                 int64_t count) {
  const int lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int64_t row = first + g + i * 8;
    if (row >= count) continue;
    const float factor = i == 0 ? top : bottom;
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
      *reinterpret_cast<uint32_t*>(base + row * stride + n * 8 + c) = packPair(sums[n][2 * i] * factor, sums[n][2 * i + 1] * factor);
    }
  }
}

// What is added to the score of a query and a key; −∞ beyond the last key. Rounds as the reference does: position, then mask.
struct Bias {
  const float* position;  // of the head, by distance; null: none
  const float* real;      // of the sequence, by key; null: all are
  bool causal;
  int64_t queries, keys;
  __device__ float operator()(int64_t query, int64_t key) const {
    if (key >= keys || query >= queries) return -INFINITY;
    float bias = position == nullptr ? 0 : position[key - query + queries - 1];
    if (real != nullptr) bias += (1 - real[key]) * kMasked;
    if (causal && key > query) bias += kMasked;
    return bias;
  }
  // Keys up to here can count for queries before `end`. With a mask even a key that must not count can: where no key may.
  __device__ int64_t keysOf(int64_t end) const { return causal && real == nullptr && end < keys ? end : keys; }
};

__device__ inline Bias biasOf(const AttentionWork& w, int64_t b, int64_t h) {
  return {w.position == nullptr ? nullptr : w.position + h * (w.query.rows + w.key.rows - 1),
          w.real == nullptr ? nullptr : w.real + b * w.key.rows, w.causal, w.query.rows, w.key.rows};
}

// Block x is tile x % tiles of head x / tiles % heads of a sequence.
struct Place {
  int64_t b, h, first;
  __device__ Place(int64_t rows, int64_t heads) {
    const int64_t tiles = (rows + kTile - 1) / kTile, head = blockIdx.x / tiles;
    b = head / heads;
    h = head % heads;
    first = blockIdx.x % tiles * kTile;
  }
};

// The largest and the sum over the four lanes that hold a row.
__device__ inline float largestOfRow(float x) {
  x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, 1));
  return fmaxf(x, __shfl_xor_sync(kWholeWarp, x, 2));
}
__device__ inline float sumOfRow(float x) {
  x += __shfl_xor_sync(kWholeWarp, x, 1);
  return x + __shfl_xor_sync(kWholeWarp, x, 2);
}

__global__ void __launch_bounds__(kThreads) forwardKernel(AttentionWork w, bf16* context, float* largest, float* inverse) {
  alignas(16) __shared__ bf16 keys[kTile][kPitch];
  alignas(16) __shared__ bf16 values[kTile][kPitch];
  const Place place(w.query.rows, w.heads);
  const int lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
  const int64_t first = place.first + threadIdx.x / kWarpThreads * 16;
  const Bias bias = biasOf(w, place.b, place.h);
  const Rows key = rowsOf(w.key, place.b, place.h), value = rowsOf(w.value, place.b, place.h);
  uint32_t query[kSteps][4];
  loadOperand(rowsOf(w.query, place.b, place.h), first, query);
  float sums[kColumns][4] = {};
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  const int64_t end = bias.keysOf(place.first + kTile);
  for (int64_t begin = 0; begin < end; begin += kTile) {
    __syncthreads();
    loadTile(key, begin, keys);
    loadTile(value, begin, values);
    __syncthreads();
    float scores[kColumns][4] = {};
    timesTransposed(scores, query, keys);
    float most[2] = {top[0], top[1]};
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[n][i] += bias(first + g + i / 2 * 8, begin + n * 8 + c + i % 2);
        most[i / 2] = fmaxf(most[i / 2], scores[n][i]);
      }
    }
    float scale[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      most[i] = largestOfRow(most[i]);
      // Rows beyond the last have no score but −∞.
      scale[i] = most[i] == -INFINITY ? 1 : expf(top[i] - most[i]);
      top[i] = most[i];
      total[i] *= scale[i];
    }
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[n][i] = top[i / 2] == -INFINITY ? 0 : expf(scores[n][i] - top[i / 2]);
        total[i / 2] += scores[n][i];
        sums[n][i] *= scale[i / 2];
      }
    }
    times(sums, scores, values);
  }
  float share[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    share[i] = 1 / sumOfRow(total[i]);
    const int64_t row = first + g + i * 8;
    if (c == 0 && row < w.query.rows) {
      const int64_t at = (place.b * w.heads + place.h) * w.query.rows + row;
      largest[at] = top[i];
      inverse[at] = share[i];
    }
  }
  const int64_t stride = w.heads * kWidth;
  storeRows(sums, share[0], share[1], context + place.b * w.query.rows * stride + place.h * kWidth, stride, first, w.query.rows);
}

// Σ context·dContext of each row of a head, [B, H, T]: what softmax's gradient subtracts. A warp a row.
__global__ void __launch_bounds__(kThreads)
    alongKernel(AttentionOperand context, AttentionOperand dContext, int64_t heads, int64_t count, float* along) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpThreads;
  if (at >= count) return;
  const int lane = threadIdx.x % kWarpThreads;
  const int64_t head = at / context.rows, row = at % context.rows;
  const bf16* const x = rowsOf(context, head / heads, head % heads).at(row) + 2 * lane;
  const bf16* const d = rowsOf(dContext, head / heads, head % heads).at(row) + 2 * lane;
  const float sum = sumOfWarp(toFloat(x[0]) * toFloat(d[0]) + toFloat(x[1]) * toFloat(d[1]));
  if (lane == 0) along[at] = sum;
}

// dQuery, and in `distances` [B·tiles·4, H, T+S−1] (zeroed; null: not wanted) each warp's share of the position table's gradient.
__global__ void __launch_bounds__(kThreads, 2) queryGradientKernel(AttentionWork w, AttentionStatistics stats, AttentionOperand dContext,
                                                                   bf16* dQuery, int64_t stride, float* distances) {
  alignas(16) __shared__ bf16 keys[kTile][kPitch];
  alignas(16) __shared__ bf16 values[kTile][kPitch];
  // Of a warp, half a tile of keys at a time: row r one further right than row r + 1, so that a column is a distance.
  constexpr int kHalf = kTile / 2, kDistances = kHalf + 15;
  __shared__ float skewed[kWarps][16][kDistances + 2];
  const Place place(w.query.rows, w.heads);
  const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
  const int64_t first = place.first + warp * 16, of = (place.b * w.heads + place.h) * w.query.rows;
  const Bias bias = biasOf(w, place.b, place.h);
  const Rows key = rowsOf(w.key, place.b, place.h), value = rowsOf(w.value, place.b, place.h);
  uint32_t query[kSteps][4], dOut[kSteps][4];
  loadOperand(rowsOf(w.query, place.b, place.h), first, query);
  loadOperand(rowsOf(dContext, place.b, place.h), first, dOut);
  float most[2] = {}, share[2] = {}, along[2] = {};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int64_t row = first + g + i * 8;
    if (row >= w.query.rows) continue;
    most[i] = stats.largest[of + row];
    share[i] = stats.inverse[of + row];
    along[i] = stats.along[of + row];
  }
  const int64_t tiles = (w.query.rows + kTile - 1) / kTile, span = w.query.rows + w.key.rows - 1;
  float* const table =
      distances == nullptr ? nullptr : distances + (((place.b * tiles + place.first / kTile) * kWarps + warp) * w.heads + place.h) * span;
  float sums[kColumns][4] = {};
  const int64_t end = bias.keysOf(place.first + kTile);
  for (int64_t begin = 0; begin < end; begin += kTile) {
    __syncthreads();
    loadTile(key, begin, keys);
    loadTile(value, begin, values);
    __syncthreads();
    float scores[kColumns][4] = {}, dScores[kColumns][4] = {};
    timesTransposed(scores, query, keys);
    timesTransposed(dScores, dOut, values);
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float score = scores[n][i] + bias(first + g + i / 2 * 8, begin + n * 8 + c + i % 2);
        dScores[n][i] = expf(score - most[i / 2]) * share[i / 2] * (dScores[n][i] - along[i / 2]);
      }
    }
    times(sums, dScores, keys);
    if (table == nullptr) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      __syncwarp();
#pragma unroll
      for (int n = 0; n < kColumns / 2; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = g + i / 2 * 8;
          skewed[warp][row][n * 8 + c + i % 2 + 15 - row] = dScores[half * kColumns / 2 + n][i];
        }
      }
      __syncwarp();
      // Column d of the skewed rows: keys − queries = begin + half·32 + d − 15 − first.
      for (int d = lane; d < kDistances; d += kWarpThreads) {
        float sum = 0;
        for (int row = 0; row < 16; ++row) {
          const int column = d - 15 + row;
          if (column >= 0 && column < kHalf) sum += skewed[warp][row][d];
        }
        const int64_t at = begin + half * kHalf + d - 15 - first + w.query.rows - 1;
        if (at >= 0 && at < span) table[at] += sum;
      }
    }
  }
  storeRows(sums, 1, 1, dQuery + place.b * w.query.rows * stride + place.h * kWidth, stride, first, w.query.rows);
}

// dKey and dValue: a warp holds 16 keys, queries pass by. Scores are transposed: rows are keys, columns queries.
__global__ void __launch_bounds__(kThreads)
    keyGradientKernel(AttentionWork w, AttentionStatistics stats, AttentionOperand dContext, bf16* dKey, bf16* dValue, int64_t stride) {
  alignas(16) __shared__ bf16 queries[kTile][kPitch];
  alignas(16) __shared__ bf16 dOuts[kTile][kPitch];
  __shared__ float most[kTile], share[kTile], along[kTile];
  const Place place(w.key.rows, w.heads);
  const int lane = threadIdx.x % kWarpThreads, g = lane / 4, c = lane % 4 * 2;
  const int64_t first = place.first + threadIdx.x / kWarpThreads * 16, of = (place.b * w.heads + place.h) * w.query.rows;
  const Bias bias = biasOf(w, place.b, place.h);
  const Rows query = rowsOf(w.query, place.b, place.h), dOut = rowsOf(dContext, place.b, place.h);
  uint32_t key[kSteps][4], value[kSteps][4];
  loadOperand(rowsOf(w.key, place.b, place.h), first, key);
  loadOperand(rowsOf(w.value, place.b, place.h), first, value);
  float dKeys[kColumns][4] = {}, dValues[kColumns][4] = {};
  for (int64_t begin = 0; begin < w.query.rows; begin += kTile) {
    if (bias.keysOf(begin + kTile) <= place.first) continue;
    __syncthreads();
    loadTile(query, begin, queries);
    loadTile(dOut, begin, dOuts);
    if (threadIdx.x < kTile) {
      const bool inside = begin + threadIdx.x < w.query.rows;
      most[threadIdx.x] = inside ? stats.largest[of + begin + threadIdx.x] : 0;
      share[threadIdx.x] = inside ? stats.inverse[of + begin + threadIdx.x] : 0;
      along[threadIdx.x] = inside ? stats.along[of + begin + threadIdx.x] : 0;
    }
    __syncthreads();
    float weights[kColumns][4] = {}, dScores[kColumns][4] = {};
    timesTransposed(weights, key, queries);
    timesTransposed(dScores, value, dOuts);
#pragma unroll
    for (int n = 0; n < kColumns; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = n * 8 + c + i % 2;
        const float score = weights[n][i] + bias(begin + column, first + g + i / 2 * 8);
        weights[n][i] = expf(score - most[column]) * share[column];
        dScores[n][i] = weights[n][i] * (dScores[n][i] - along[column]);
      }
    }
    times(dValues, weights, dOuts);
    times(dKeys, dScores, queries);
  }
  const int64_t at = place.b * w.key.rows * stride + place.h * kWidth;
  storeRows(dKeys, 1, 1, dKey + at, stride, first, w.key.rows);
  storeRows(dValues, 1, 1, dValue + at, stride, first, w.key.rows);
}

int64_t tilesOf(int64_t rows) { return (rows + kTile - 1) / kTile; }

}  // namespace

int64_t attentionHeadWidth() { return kWidth; }

int64_t attentionDistanceParts(int64_t batch, int64_t queries) { return batch * tilesOf(queries) * kWarps; }

void attentionForward(const AttentionWork& w, int64_t batch, void* context, float* largest, float* inverse, cudaStream_t stream) {
  launch("attentionForward", forwardKernel, batch * w.heads * tilesOf(w.query.rows), kThreads, 0, stream, w, static_cast<bf16*>(context),
         largest, inverse);
}

void attentionGradient(const AttentionWork& w, int64_t batch, const AttentionGradient& d, cudaStream_t stream) {
  const int64_t rows = batch * w.heads * w.query.rows;
  launch("attentionAlong", alongKernel, (rows + kWarps - 1) / kWarps, kThreads, 0, stream, d.context, d.dContext, w.heads, rows, d.along);
  const AttentionStatistics stats = {d.largest, d.inverse, d.along};
  launch("attentionQueryGradient", queryGradientKernel, batch * w.heads * tilesOf(w.query.rows), kThreads, 0, stream, w, stats, d.dContext,
         static_cast<bf16*>(d.dQuery), d.queryStride, d.distances);
  launch("attentionKeyGradient", keyGradientKernel, batch * w.heads * tilesOf(w.key.rows), kThreads, 0, stream, w, stats, d.dContext,
         static_cast<bf16*>(d.dKey), static_cast<bf16*>(d.dValue), d.keyStride);
}

}  // namespace tfjs_torch::cuda
