#pragma once

// What attention's heads are computed of.

#include <ATen/ATen.h>

#include "t5/dropout.h"

namespace tfjs_torch {

// B batch, T queries, S keys, H heads, K width of a head
struct AttentionShape {
  int64_t B, T, S, H, K;
  bool causal;
  int64_t inner() const { return H * K; }
  int64_t distances() const { return T + S - 1; }
};

// Bias of every score: by head and distance [H, T+S-1] (index key - query + T - 1), and by key [B, S]; zeros where absent. Dropout of the
// probabilities [B, H, T, S].
struct AttentionBias {
  at::Tensor position;
  at::Tensor mask;
  DropoutRows dropout;
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

}  // namespace tfjs_torch
