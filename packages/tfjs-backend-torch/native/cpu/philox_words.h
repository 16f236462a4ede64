#pragma once

// Words of Philox4x32-10 (runtime/philox.h), 16 blocks of four side by side.

#include <cstdint>

#include "cpu/cpu_features.h"
#include "cpu/target.h"
#include "runtime/philox.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TFJS_TORCH_PHILOX_VECTORS
#include <immintrin.h>
#endif

namespace tfjs_torch {

// Blocks that are drawn together, and their words.
inline constexpr int64_t kPhiloxBlocks = 16, kPhiloxWords = 4 * kPhiloxBlocks;

// The draws of one key and one step, with the keys of all rounds.
struct PhiloxDraws {
  uint32_t step = 0;
  uint32_t keys[kPhiloxRounds][2] = {};
  PhiloxDraws() = default;
  PhiloxDraws(uint32_t key0, uint32_t key1, uint32_t of) : step(of) {
    for (auto& round : keys) {
      round[0] = key0;
      round[1] = key1;
      key0 += kPhiloxKeyStep0;
      key1 += kPhiloxKeyStep1;
    }
  }
};

namespace portable {

// A group's words in order.
[[gnu::always_inline]] inline void philoxGroup(const PhiloxDraws& draws, uint64_t first, uint32_t* words) {
  uint32_t x[4][kPhiloxBlocks];
  for (int64_t i = 0; i < kPhiloxBlocks; ++i) {
    const uint64_t number = first + static_cast<uint64_t>(i);
    x[0][i] = static_cast<uint32_t>(number);
    x[1][i] = static_cast<uint32_t>(number >> 32);
    x[2][i] = draws.step;
    x[3][i] = 0;
  }
  for (const auto& key : draws.keys) {
#pragma omp simd
    for (int64_t i = 0; i < kPhiloxBlocks; ++i) {
      const uint64_t p0 = uint64_t{kPhiloxMultiplier0} * x[0][i], p1 = uint64_t{kPhiloxMultiplier1} * x[2][i];
      x[0][i] = static_cast<uint32_t>(p1 >> 32) ^ x[1][i] ^ key[0];
      x[1][i] = static_cast<uint32_t>(p1);
      x[2][i] = static_cast<uint32_t>(p0 >> 32) ^ x[3][i] ^ key[1];
      x[3][i] = static_cast<uint32_t>(p0);
    }
  }
  for (int64_t i = 0; i < kPhiloxBlocks; ++i) {
    for (int64_t w = 0; w < 4; ++w) words[4 * i + w] = x[w][i];
  }
}

inline void philoxWords(const PhiloxDraws& draws, uint64_t first, int64_t groups, uint32_t* words) {
  for (int64_t g = 0; g < groups; ++g) philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words + g * kPhiloxWords);
}

inline void philoxBits(const PhiloxDraws& draws, uint64_t first, int64_t groups, uint32_t least, uint64_t* bits) {
  for (int64_t g = 0; g < groups; ++g) {
    uint32_t words[kPhiloxWords];
    philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words);
    bits[g] = 0;
    for (int64_t i = 0; i < kPhiloxWords; ++i) bits[g] |= static_cast<uint64_t>(words[i] >= least) << i;
  }
}

}  // namespace portable

#ifdef TFJS_TORCH_PHILOX_VECTORS
TFJS_TORCH_INTRINSICS_BEGIN
namespace vectors {

// The same by AVX-512 and by AVX2. A word lies in the lower half of 64 bits, for that half is what a product reads; what is above counts
// for nothing. Blocks lie in the order that interleaving pairs of words undoes.
TFJS_TORCH_TARGET_AVX512 inline void philoxGroup(const PhiloxDraws& draws, uint64_t first, __m512i (&words)[4]) {
  constexpr int kExclusiveOr = 0x96;  // of three
  const __m512i multiplier0 = _mm512_set1_epi64(kPhiloxMultiplier0), multiplier1 = _mm512_set1_epi64(kPhiloxMultiplier1);
  __m512i x[2][4];
  TFJS_TORCH_UNROLL for (int part = 0; part < 2; ++part) {
    const __m512i start = _mm512_set1_epi64(static_cast<int64_t>(first) + 8 * part);
    x[part][0] = _mm512_add_epi64(start, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
    x[part][1] = _mm512_srli_epi64(x[part][0], 32);
    x[part][2] = _mm512_set1_epi64(draws.step);
    x[part][3] = _mm512_setzero_si512();
  }
  TFJS_TORCH_UNROLL for (int round = 0; round < kPhiloxRounds; ++round) {
    const __m512i key0 = _mm512_set1_epi32(static_cast<int>(draws.keys[round][0]));
    const __m512i key1 = _mm512_set1_epi32(static_cast<int>(draws.keys[round][1]));
    TFJS_TORCH_UNROLL for (auto& of : x) {
      const __m512i p0 = _mm512_mul_epu32(of[0], multiplier0), p1 = _mm512_mul_epu32(of[2], multiplier1);
      of[0] = _mm512_ternarylogic_epi32(_mm512_srli_epi64(p1, 32), of[1], key0, kExclusiveOr);
      of[1] = p1;
      of[2] = _mm512_ternarylogic_epi32(_mm512_srli_epi64(p0, 32), of[3], key1, kExclusiveOr);
      of[3] = p0;
    }
  }
  TFJS_TORCH_UNROLL for (int part = 0; part < 2; ++part) {
    const __m512i low = _mm512_mask_shuffle_epi32(x[part][0], 0xaaaa, x[part][1], _MM_PERM_CCAA);
    const __m512i high = _mm512_mask_shuffle_epi32(x[part][2], 0xaaaa, x[part][3], _MM_PERM_CCAA);
    words[2 * part] = _mm512_unpacklo_epi64(low, high);
    words[2 * part + 1] = _mm512_unpackhi_epi64(low, high);
  }
}

TFJS_TORCH_TARGET_AVX2 inline void philoxGroup(const PhiloxDraws& draws, uint64_t first, __m256i (&words)[8]) {
  const __m256i multiplier0 = _mm256_set1_epi64x(kPhiloxMultiplier0), multiplier1 = _mm256_set1_epi64x(kPhiloxMultiplier1);
  // Two of the four parts at a time: there are 16 registers.
  TFJS_TORCH_UNROLL for (int pair = 0; pair < 2; ++pair) {
    __m256i x[2][4];
    TFJS_TORCH_UNROLL for (int part = 0; part < 2; ++part) {
      const __m256i start = _mm256_set1_epi64x(static_cast<int64_t>(first) + 8 * pair + 4 * part);
      x[part][0] = _mm256_add_epi64(start, _mm256_setr_epi64x(0, 2, 1, 3));
      x[part][1] = _mm256_srli_epi64(x[part][0], 32);
      x[part][2] = _mm256_set1_epi64x(draws.step);
      x[part][3] = _mm256_setzero_si256();
    }
    TFJS_TORCH_UNROLL for (int round = 0; round < kPhiloxRounds; ++round) {
      const __m256i key0 = _mm256_set1_epi32(static_cast<int>(draws.keys[round][0]));
      const __m256i key1 = _mm256_set1_epi32(static_cast<int>(draws.keys[round][1]));
      TFJS_TORCH_UNROLL for (auto& of : x) {
        const __m256i p0 = _mm256_mul_epu32(of[0], multiplier0), p1 = _mm256_mul_epu32(of[2], multiplier1);
        of[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), of[1]), key0);
        of[1] = p1;
        of[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), of[3]), key1);
        of[3] = p0;
      }
    }
    TFJS_TORCH_UNROLL for (int part = 0; part < 2; ++part) {
      const __m256i low = _mm256_blend_epi32(x[part][0], _mm256_slli_epi64(x[part][1], 32), 0xaa);
      const __m256i high = _mm256_blend_epi32(x[part][2], _mm256_slli_epi64(x[part][3], 32), 0xaa);
      words[4 * pair + 2 * part] = _mm256_unpacklo_epi64(low, high);
      words[4 * pair + 2 * part + 1] = _mm256_unpackhi_epi64(low, high);
    }
  }
}

TFJS_TORCH_TARGET_AVX512 inline uint64_t atLeast(const __m512i (&words)[4], uint32_t least) {
  const __m512i bound = _mm512_set1_epi32(static_cast<int>(least));
  uint64_t bits = 0;
  TFJS_TORCH_UNROLL for (int i = 0; i < 4; ++i) bits |= static_cast<uint64_t>(_mm512_cmpge_epu32_mask(words[i], bound)) << (16 * i);
  return bits;
}
TFJS_TORCH_TARGET_AVX2 inline uint64_t atLeast(const __m256i (&words)[8], uint32_t least) {
  const __m256i bound = _mm256_set1_epi32(static_cast<int>(least));
  uint64_t bits = 0;
  TFJS_TORCH_UNROLL for (int i = 0; i < 8; ++i) {
    const __m256i is = _mm256_cmpeq_epi32(_mm256_max_epu32(words[i], bound), words[i]);
    bits |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(is)))) << (8 * i);
  }
  return bits;
}

__attribute__((noinline)) TFJS_TORCH_TARGET_AVX512 inline void philoxBits512(const PhiloxDraws& draws, uint64_t first, int64_t groups,
                                                                             uint32_t least, uint64_t* bits) {
  for (int64_t g = 0; g < groups; ++g) {
    __m512i words[4];
    philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words);
    bits[g] = atLeast(words, least);
  }
}
__attribute__((noinline)) TFJS_TORCH_TARGET_AVX2 inline void philoxBits256(const PhiloxDraws& draws, uint64_t first, int64_t groups,
                                                                           uint32_t least, uint64_t* bits) {
  for (int64_t g = 0; g < groups; ++g) {
    __m256i words[8];
    philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words);
    bits[g] = atLeast(words, least);
  }
}

__attribute__((noinline)) TFJS_TORCH_TARGET_AVX512 inline void philoxWords512(const PhiloxDraws& draws, uint64_t first, int64_t groups,
                                                                              uint32_t* to) {
  for (int64_t g = 0; g < groups; ++g, to += kPhiloxWords) {
    __m512i words[4];
    philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words);
    TFJS_TORCH_UNROLL for (int i = 0; i < 4; ++i) _mm512_storeu_si512(to + 16 * i, words[i]);
  }
}
__attribute__((noinline)) TFJS_TORCH_TARGET_AVX2 inline void philoxWords256(const PhiloxDraws& draws, uint64_t first, int64_t groups,
                                                                            uint32_t* to) {
  for (int64_t g = 0; g < groups; ++g, to += kPhiloxWords) {
    __m256i words[8];
    philoxGroup(draws, first + static_cast<uint64_t>(g * kPhiloxBlocks), words);
    TFJS_TORCH_UNROLL for (int i = 0; i < 8; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8 * i), words[i]);
  }
}

}  // namespace vectors
TFJS_TORCH_INTRINSICS_END
#endif

// Words of so many groups of 16 blocks, from block `first` on.
inline void philoxWords(const PhiloxDraws& draws, uint64_t first, int64_t groups, uint32_t* words) {
#ifdef TFJS_TORCH_PHILOX_VECTORS
  if (simdLevel() == 4) return vectors::philoxWords512(draws, first, groups, words);
  if (simdLevel() == 3) return vectors::philoxWords256(draws, first, groups, words);
#endif
  portable::philoxWords(draws, first, groups, words);
}

// Bit i of `bits`: whether word i of these groups is at least `least`.
inline void philoxBits(const PhiloxDraws& draws, uint64_t first, int64_t groups, uint32_t least, uint64_t* bits) {
#ifdef TFJS_TORCH_PHILOX_VECTORS
  if (simdLevel() == 4) return vectors::philoxBits512(draws, first, groups, least, bits);
  if (simdLevel() == 3) return vectors::philoxBits256(draws, first, groups, least, bits);
#endif
  portable::philoxBits(draws, first, groups, least, bits);
}

}  // namespace tfjs_torch
