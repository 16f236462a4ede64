// bfloat16 as CUDA's header of this name has it: rounded to the nearest, ties to even.
#pragma once

#include <cstdint>
#include <cstring>

struct __nv_bfloat16 {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
  const uint32_t inFloat = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &inFloat, sizeof value);
  return value;
}

inline __nv_bfloat16 __float2bfloat16(float x) {
  uint32_t inFloat;
  std::memcpy(&inFloat, &x, sizeof inFloat);
  if (x != x) return {0x7fff};
  return {static_cast<uint16_t>((inFloat + 0x7fff + ((inFloat >> 16) & 1)) >> 16)};
}
