#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// Launchers of the kernels in *.cu, on plain pointers of the device. `narrow` says that rows hold bfloat16, else float32.
// N tokens, E experts, D width of a row.
namespace tfjs_torch::cuda {

// Softmax of logits [N, E]: probs [N, E] (rounded to bfloat16 where `narrow`), expert [N] (-1 where real [N] is 0 and padding is
// left out), gate [N], logZ [N].
void routerSoftmax(const float* logits, const float* real, bool ignorePadding, bool narrow, int64_t tokens, int64_t experts, float* probs,
                   int32_t* expert, float* gate, float* logZ, cudaStream_t stream);

// Places by token order, one warp a group: slot [N], occupied [E, G] and taken [G, E] (how many chose each expert).
void routerPlaces(const int32_t* expert, int64_t groups, int64_t ofGroup, int64_t experts, int64_t capacity, int32_t* slot,
                  int32_t* occupied, int32_t* taken, cudaStream_t stream);

// to [slots, D] zeroed and filled from x [N, D].
void dispatchRows(const void* x, const int32_t* slot, bool narrow, int64_t tokens, int64_t slots, int64_t width, void* to,
                  cudaStream_t stream);

// to[n] = gate[n]·y[slot[n]], 0 without a slot; gate may be null.
void combineRows(const void* y, const int32_t* slot, const float* gate, bool narrow, int64_t tokens, int64_t slots, int64_t width, void* to,
                 cudaStream_t stream);

// dY [slots, D] zeroed and filled with gate[n]·d[n], dGate [N] = d[n]·y[slot[n]].
void combineRowsGradient(const void* d, const void* y, const int32_t* slot, const float* gate, bool narrow, int64_t tokens, int64_t slots,
                         int64_t width, void* dY, float* dGate, cudaStream_t stream);

// One matrix of Adafactor; native/moe.h says what the fields are. Lies on the device.
struct AdafactorMatrix {
  float* value;
  const void* gradient;
  float* first;
  float* second;  // null: not factored
  int64_t rows, columns;
  int64_t firstRow;   // rows of all matrices before it
  int64_t firstTile;  // tiles of 32 columns of all factored matrices before it
  int32_t narrow;
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
  float* steps;    // [count] learning rate · RMS / clipping
};
void adafactorStep(const AdafactorWork& work, cudaStream_t stream);

}  // namespace tfjs_torch::cuda
