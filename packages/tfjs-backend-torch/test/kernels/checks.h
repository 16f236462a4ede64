#pragma once

// What the checks of the kernels share.

#include <cuda_bf16.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../../native/cuda/kernels.h"

using namespace tfjs_torch::cuda;

inline int failures = 0;
inline std::mt19937 generator(1);

// Values that kernels write: beyond the end lies what must stay as it was.
template <typename T>
struct Buffer {
  explicit Buffer(int64_t size, T fill = T{}) : values(size + 8, fill), size(size) {
    std::memset(static_cast<void*>(values.data() + size), 0x5a, 8 * sizeof(T));
  }
  T* data() { return values.data(); }
  T& operator[](int64_t i) { return values[i]; }
  bool whole() const {
    const auto* end = reinterpret_cast<const unsigned char*>(values.data() + size);
    return std::all_of(end, end + 8 * sizeof(T), [](unsigned char byte) { return byte == 0x5a; });
  }
  std::vector<T> values;
  int64_t size;
};

inline void check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "FAILED %s\n", what.c_str());
}

inline float draw(float deviation = 1) { return std::normal_distribution<float>(0, deviation)(generator); }
inline float rounded(float x) { return __bfloat162float(__float2bfloat16(x)); }

template <typename T>
T as(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return __float2bfloat16(x);
}
inline float inFloat(float x) { return x; }
inline float inFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
Buffer<T> drawn(int64_t size) {
  Buffer<T> b(size);
  for (int64_t i = 0; i < size; ++i) b[i] = as<T>(draw());
  return b;
}
