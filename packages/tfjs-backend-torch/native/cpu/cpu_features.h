#pragma once

// What this CPU has. Features that compilers' __builtin_cpu_supports does not know everywhere (Intel's manual, CPUID leaf 7).

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tfjs_torch {

struct CpuFeatures {
  bool fp16 = false;         // AVX512-FP16
  bool bf16 = false;         // AVX512-BF16
  bool matrixUnits = false;  // AMX-BF16
  bool isAmd = false;
};

inline CpuFeatures cpuFeatures() {
  CpuFeatures features;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kAuth = 0x68747541;  // of "AuthenticAMD"
  if (__get_cpuid(0, &a, &b, &c, &d) != 0) features.isAmd = b == kAuth;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    features.matrixUnits = (d & (1u << 22)) != 0;
    features.fp16 = (d & (1u << 23)) != 0;
  }
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) features.bf16 = (a & (1u << 5)) != 0;
#endif
  return features;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
// Level of x86-64 whose vectors this CPU has: 4 with AVX-512, 3 with AVX2, else 1.
inline int simdLevel() {
  static const int level = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
                               ? 4
                           : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 3
                                                                                             : 1;
  return level;
}
#endif

}  // namespace tfjs_torch
