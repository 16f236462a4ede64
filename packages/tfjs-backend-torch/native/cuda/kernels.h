#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "runtime/philox.h"

// Launchers of the kernels in *.cu, on plain pointers of the device. `isBfloat16` says that rows hold bfloat16, else float32.
// N tokens, E experts, D width of a row.
namespace tfjs_torch::cuda {

// Softmax of logits [N, E]: probs [N, E] (rounded to bfloat16 where `isBfloat16`), expert [N] (-1 where real [N] is 0 and padding is
// left out), gate [N], logZ [N].
void routerSoftmax(const float* logits, const float* real, bool ignorePadding, bool isBfloat16, int64_t tokens, int64_t experts,
                   float* probs, int32_t* expert, float* gate, float* logZ, cudaStream_t stream);

// Places by token order, one warp a group: slot [N], occupied [E, G] and taken [G, E] (how many chose each expert).
void routerPlaces(const int32_t* expert, int64_t groups, int64_t ofGroup, int64_t experts, int64_t capacity, int32_t* slot,
                  int32_t* occupied, int32_t* taken, cudaStream_t stream);

// to [slots, D] zeroed and filled from x [N, D].
void dispatchRows(const void* x, const int32_t* slot, bool isBfloat16, int64_t tokens, int64_t slots, int64_t width, void* to,
                  cudaStream_t stream);

// to[n] = gate[n]·y[slot[n]], 0 without a slot; gate may be null.
void combineRows(const void* y, const int32_t* slot, const float* gate, bool isBfloat16, int64_t tokens, int64_t slots, int64_t width,
                 void* to, cudaStream_t stream);

// dY [slots, D] zeroed and filled with gate[n]·d[n], dGate [N] = d[n]·y[slot[n]].
void combineRowsGradient(const void* d, const void* y, const int32_t* slot, const float* gate, bool isBfloat16, int64_t tokens,
                         int64_t slots, int64_t width, void* dY, float* dGate, cudaStream_t stream);

// One matrix of Adafactor; native/moe.h says what the fields are. Lies on the device.
struct AdafactorMatrix {
  float* value;
  const void* gradient;
  float* first;
  float* second;  // null: not factored
  int64_t rows, columns;
  int64_t firstRow;   // rows of all matrices before it
  int64_t firstTile;  // adafactorTiles of all factored matrices before it
  int32_t isBfloat16;
};
struct AdafactorWork {
  const AdafactorMatrix* matrices;
  int64_t count, rows, tiles;
  const float* rates;  // learning rate, β, the gradients' scale
  const float* guard;  // where one of `guards` values is not finite nothing changes
  int64_t guards;
  float* values;   // [rows] Σ value² of each row
  float* updates;  // [rows] Σ update² of each row
  float* means;    // [count] mean of the row moments
  float* columns;  // [tiles, 32] Σ gradient² of each tile's columns
  float* steps;    // [count] learning rate · RMS / clipping
};
// Tiles of 32 columns and some rows of a factored matrix.
int64_t adafactorTiles(int64_t rows, int64_t columns);
void adafactorStep(const AdafactorWork& work, cudaStream_t stream);

// RMSNorm of x [rows, width] -> y, and 1/root mean square [rows].
bool hasNormKernel(int64_t width);
void rmsNorm(const void* x, bool isBfloat16X, const float* weight, float epsilon, int64_t rows, int64_t width, void* y, bool isBfloat16Y,
             float* inverse, cudaStream_t stream);
// Its gradient dx, to which `known` (null: nothing) is added, and partial [normGradientBlocks(rows), width], whose sum over blocks is the
// weight's gradient.
int64_t normGradientBlocks(int64_t rows);
void rmsNormGradient(const void* dy, bool isBfloat16Y, const void* x, bool isBfloat16X, const float* weight, const float* inverse,
                     const void* known, int64_t rows, int64_t width, void* dx, float* partial, cudaStream_t stream);

// gelu(gate)·value of h [rows, 2f], gate and value side by side -> hidden [rows, f]; and dh of dHidden with hidden once more.
bool hasGatedGeluKernel(int64_t f);
void gatedGelu(const void* h, bool isBfloat16, int64_t rows, int64_t f, void* hidden, cudaStream_t stream);
void gatedGeluGradient(const void* dHidden, const void* h, bool isBfloat16, int64_t rows, int64_t f, void* dh, void* hidden,
                       cudaStream_t stream);

// ln p(target) of each row of logits [rows, vocab]; with `share` [rows] the row becomes share·(p − onehot(target)). For a target
// outside of the vocabulary both are no numbers.
void crossEntropyRows(void* logits, bool isBfloat16, const int32_t* target, const float* share, int64_t rows, int64_t vocab, float* logProb,
                      cudaStream_t stream);

// x times noise of the step that lies on the device, float32.
void timesNoise(const void* x, bool isBfloat16, const int32_t* step, uint32_t key0, uint32_t key1, const NoiseFactors& factors,
                int64_t size, float* to, cudaStream_t stream);

// Rows of bfloat16 of a batch of sequences: row r of sequence b begins at base + (b·rows + r)·stride, head after head.
struct AttentionOperand {
  const void* base;
  int64_t rows, stride;
};
struct AttentionWork {
  AttentionOperand query, key, value;
  int64_t heads;
  bool causal;
  const float* position;  // [H, T+S−1], by key − query + T − 1; null: none
  const float* real;      // [B, S], 0: a key does not count; null: all do
};
struct AttentionStatistics {
  const float *largest, *inverse, *along;
};
struct AttentionGradient {
  AttentionOperand context, dContext;
  const float *largest, *inverse;
  float* along;  // [B, H, T], overwritten
  void *dQuery, *dKey, *dValue;
  int64_t queryStride, keyStride;
  float* distances;  // zeros [attentionDistanceParts, H, T+S−1], whose sum over the parts is the table's gradient; null: not wanted
};
// Width of the heads that the kernels are for.
int64_t attentionHeadWidth();
int64_t attentionDistanceParts(int64_t batch, int64_t queries);
// context [B, T, H·64] in bfloat16; the largest score and 1/Σ e^(score − largest) of each query, [B, H, T].
void attentionForward(const AttentionWork& work, int64_t batch, void* context, float* largest, float* inverse, cudaStream_t stream);
void attentionGradient(const AttentionWork& work, int64_t batch, const AttentionGradient& d, cudaStream_t stream);

}  // namespace tfjs_torch::cuda
