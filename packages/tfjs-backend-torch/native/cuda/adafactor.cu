// Adafactor over all matrices of all parameters in seven launches. src/ops/optimizers/adafactor.ts has the same constants.
#include <cuda_bf16.h>

#include "cuda/kernels.h"
#include "cuda/launch.h"

namespace tfjs_torch::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kRowLanes = kThreads / kWarp;
constexpr int64_t kRowsOfATile = 2048;
constexpr float kEpsilonGradient = 1e-30f;
constexpr float kEpsilonParameter = 1e-3f;
constexpr float kClippingThreshold = 1;

__device__ inline float unscaledAt(const AdafactorMatrix& m, int64_t i) {
  return m.isBfloat16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(m.gradient)[i]) : static_cast<const float*>(m.gradient)[i];
}

__device__ inline float gradientAt(const AdafactorWork& work, const AdafactorMatrix& m, int64_t i) {
  return unscaledAt(m, i) * work.rates[2];
}

__device__ inline bool isStopped(const AdafactorWork& work) {
  for (int64_t i = 0; i < work.guards; ++i) {
    if (!isfinite(work.guard[i])) return true;
  }
  return false;
}

// Sum over a block's threads, for all of them; always added up in the same order.
__device__ float blockSum(float x) {
  __shared__ float parts[kRowLanes];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kRowLanes; ++w) sum += parts[w];
  return sum;
}

// The last matrix that begins at or before `at`; one without tiles shares its begin with the next and is passed over.
__device__ int64_t matrixAt(const AdafactorWork& work, int64_t at, int64_t AdafactorMatrix::*first) {
  int64_t low = 0, high = work.count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (work.matrices[middle].*first <= at)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// A block a row: row moments (all moments where not factored), Σ value², and Σ update² where not factored.
__global__ void rowMoments(AdafactorWork work) {
  if (isStopped(work)) return;
  const int64_t at = blockIdx.x;
  const AdafactorMatrix m = work.matrices[matrixAt(work, at, &AdafactorMatrix::firstRow)];
  const int64_t row = at - m.firstRow, n = m.columns;
  const float beta = work.rates[1];
  float squares = 0, values = 0, updates = 0;
  for (int64_t c = threadIdx.x; c < n; c += kThreads) {
    const int64_t i = row * n + c;
    const float g = gradientAt(work, m, i), p = m.value[i];
    values += p * p;
    if (m.second) {
      squares += g * g;
    } else {
      const float moment = m.first[i] * beta + (g * g + kEpsilonGradient) * (1 - beta);
      m.first[i] = moment;
      updates += g * g / moment;
    }
  }
  values = blockSum(values);
  squares = blockSum(squares);
  updates = blockSum(updates);
  if (threadIdx.x > 0) return;
  work.values[at] = values;
  work.updates[at] = updates;
  if (m.second) m.first[row] = m.first[row] * beta + (squares / n + kEpsilonGradient) * (1 - beta);
}

__device__ inline int64_t runsOf(const AdafactorMatrix& m) { return (m.rows + kRowsOfATile - 1) / kRowsOfATile; }

// A block a tile of 32 columns and at most kRowsOfATile rows: Σ gradient² of each column. Eight loads are under way at a time.
__global__ void columnSquares(AdafactorWork work) {
  if (isStopped(work)) return;
  const AdafactorMatrix m = work.matrices[matrixAt(work, blockIdx.x, &AdafactorMatrix::firstTile)];
  const int64_t tile = blockIdx.x - m.firstTile, runs = runsOf(m), first = tile % runs * kRowsOfATile;
  const int64_t c = tile / runs * kWarp + threadIdx.x % kWarp, end = first + kRowsOfATile < m.rows ? first + kRowsOfATile : m.rows;
  const int lane = threadIdx.x / kWarp;
  __shared__ float parts[kRowLanes][kWarp];
  float sum = 0;
  if (c < m.columns) {
    constexpr int kAhead = 8;
    int64_t r = first + lane;
    for (; r + (kAhead - 1) * kRowLanes < end; r += kAhead * kRowLanes) {
      float g[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) g[k] = gradientAt(work, m, (r + k * kRowLanes) * m.columns + c);
#pragma unroll
      for (int k = 0; k < kAhead; ++k) sum += g[k] * g[k];
    }
    for (; r < end; r += kRowLanes) {
      const float g = gradientAt(work, m, r * m.columns + c);
      sum += g * g;
    }
  }
  parts[lane][threadIdx.x % kWarp] = sum;
  __syncthreads();
  if (lane > 0) return;
  sum = 0;
  for (int l = 0; l < kRowLanes; ++l) sum += parts[l][threadIdx.x];
  work.columns[blockIdx.x * kWarp + threadIdx.x] = sum;
}

// A warp a tile; that of a tile's first run adds the runs up, in order: column moments.
__global__ void columnMoments(AdafactorWork work) {
  if (isStopped(work)) return;
  const AdafactorMatrix m = work.matrices[matrixAt(work, blockIdx.x, &AdafactorMatrix::firstTile)];
  const int64_t tile = blockIdx.x - m.firstTile, runs = runsOf(m), c = tile / runs * kWarp + threadIdx.x;
  if (tile % runs != 0 || c >= m.columns) return;
  float sum = 0;
  for (int64_t run = 0; run < runs; ++run) sum += work.columns[(blockIdx.x + run) * kWarp + threadIdx.x];
  const float beta = work.rates[1];
  m.second[c] = m.second[c] * beta + (sum / m.rows + kEpsilonGradient) * (1 - beta);
}

// A block a matrix: mean of its row moments.
__global__ void rowMeans(AdafactorWork work) {
  const AdafactorMatrix m = work.matrices[blockIdx.x];
  if (!m.second) return;
  float sum = 0;
  for (int64_t r = threadIdx.x; r < m.rows; r += kThreads) sum += m.first[r];
  sum = blockSum(sum);
  if (threadIdx.x == 0) work.means[blockIdx.x] = sum / m.rows;
}

__device__ inline float updateAt(const AdafactorWork& work, const AdafactorMatrix& m, int64_t row, int64_t c, float rowFactor) {
  const int64_t i = row * m.columns + c;
  return gradientAt(work, m, i) * (m.second ? rowFactor * rsqrtf(m.second[c]) : rsqrtf(m.first[i]));
}

// A block a row: Σ update² of the factored.
__global__ void updateSquares(AdafactorWork work) {
  const int64_t at = blockIdx.x, index = matrixAt(work, at, &AdafactorMatrix::firstRow);
  const AdafactorMatrix m = work.matrices[index];
  if (!m.second) return;
  const int64_t row = at - m.firstRow;
  const float factor = rsqrtf(m.first[row] / work.means[index]);
  float sum = 0;
  for (int64_t c = threadIdx.x; c < m.columns; c += kThreads) {
    const float u = updateAt(work, m, row, c, factor);
    sum += u * u;
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0) work.updates[at] = sum;
}

// A block a matrix: how far it goes.
__global__ void stepSizes(AdafactorWork work) {
  const AdafactorMatrix m = work.matrices[blockIdx.x];
  float values = 0, updates = 0;
  for (int64_t r = threadIdx.x; r < m.rows; r += kThreads) {
    values += work.values[m.firstRow + r];
    updates += work.updates[m.firstRow + r];
  }
  values = blockSum(values);
  updates = blockSum(updates);
  if (threadIdx.x > 0) return;
  const float size = static_cast<float>(m.rows) * static_cast<float>(m.columns);
  const float clip = fmaxf(sqrtf(updates / size) / kClippingThreshold, 1.0f);
  work.steps[blockIdx.x] = work.rates[0] * fmaxf(sqrtf(values / size), kEpsilonParameter) / clip;
}

// A block a row: value -= step·update.
__global__ void applyUpdates(AdafactorWork work) {
  if (isStopped(work)) return;
  const int64_t at = blockIdx.x, index = matrixAt(work, at, &AdafactorMatrix::firstRow);
  const AdafactorMatrix m = work.matrices[index];
  const int64_t row = at - m.firstRow;
  const float factor = m.second ? rsqrtf(m.first[row] / work.means[index]) : 0.0f;
  for (int64_t c = threadIdx.x; c < m.columns; c += kThreads) {
    m.value[row * m.columns + c] -= work.steps[index] * updateAt(work, m, row, c, factor);
  }
}

}  // namespace

int64_t adafactorTiles(int64_t rows, int64_t columns) { return (columns + kWarp - 1) / kWarp * ((rows + kRowsOfATile - 1) / kRowsOfATile); }

void adafactorStep(const AdafactorWork& work, cudaStream_t stream) {
  launch("rowMoments", rowMoments, work.rows, kThreads, 0, stream, work);
  launch("columnSquares", columnSquares, work.tiles, kThreads, 0, stream, work);
  launch("columnMoments", columnMoments, work.tiles, kWarp, 0, stream, work);
  launch("rowMeans", rowMeans, work.count, kThreads, 0, stream, work);
  launch("updateSquares", updateSquares, work.rows, kThreads, 0, stream, work);
  launch("stepSizes", stepSizes, work.count, kThreads, 0, stream, work);
  launch("applyUpdates", applyUpdates, work.rows, kThreads, 0, stream, work);
}

}  // namespace tfjs_torch::cuda
