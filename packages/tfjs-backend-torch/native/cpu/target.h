#pragma once

// Instruction sets of functions that the CPU's features choose at run time, and loops that are unrolled whole.

#define TFJS_TORCH_TARGET_AVX2 __attribute__((target("arch=x86-64-v3")))
#define TFJS_TORCH_TARGET_AVX512 __attribute__((target("arch=x86-64-v4")))
#define TFJS_TORCH_TARGET_BF16 __attribute__((target("arch=x86-64-v4,avx512bf16")))
#define TFJS_TORCH_TARGET_FP16 __attribute__((target("arch=x86-64-v4,avx512fp16,avx512bf16")))
// One target for all functions of cpu/gemm/packed/, so that they are inlined into one another. Instructions beyond AVX-512 (x86-64-v4)
// come from intrinsics alone, and those of AMX and of bfloat16 stand in code that is chosen where the CPU has them.
#define TFJS_TORCH_TARGET_PACKED __attribute__((target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16")))

// On a lambda, after its parameters.
#define TFJS_TORCH_INLINE_LAMBDA __attribute__((always_inline))

#define TFJS_TORCH_UNROLL _Pragma("GCC unroll 16")

// Around code of intrinsics: those of GCC 12 leave vectors undefined on purpose.
#define TFJS_TORCH_INTRINSICS_BEGIN                                                    \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wuninitialized\"") \
      _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
#define TFJS_TORCH_INTRINSICS_END _Pragma("GCC diagnostic pop")
