#pragma once

// AVX-512's microkernels: 8 by 32 sums in registers, to which a row of 16 columns and one term (float32) or a pair (bfloat16) is added by
// one instruction. Of bfloat16's the products are exact, the sums float32, and subnormal numbers 0.

#include "cpu/gemm/packed/microkernel.h"

#ifdef TFJS_TORCH_PACKED

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

template <typename E>
struct Avx512 {
  using Element = E;
  struct Scope {};

  static constexpr bool kTakesAnyLeft = true;

  template <Loads, Loads, typename Meanwhile>
  TFJS_TORCH_TARGET_PACKED static void multiply(const LeftOperand<E>& left, const E* right, int64_t blocks, int64_t rows, bool add,
                                                const Sums& sums, const Meanwhile& meanwhile) {
    using L = Layout<E>;
    const int64_t distance = sums.row / static_cast<int64_t>(sizeof(float));
    const auto some = left.pair == L::kTerms  ? multiplyRows<L::kPair, L::kTerms>
                      : left.row == L::kTerms ? multiplyRows<L::kTerms, L::kPair>
                                              : multiplyRows<0, L::kPair>;
    for (int64_t row = 0; row < rows; row += kRows) {
      const E* const from = left.data + row / kTile * left.tile + row % kTile * left.row;
      some({from, left.row, left.pair, left.block, left.tile}, right, blocks, add, sums.data + row * distance, distance);
      for (int64_t i = 0; i < blocks; i += kLines / kRows) meanwhile();
    }
  }

 private:
  static constexpr int kRows = 8;

  TFJS_TORCH_TARGET_PACKED static __m512 multiplyAdd(__m512i left, __m512i right, __m512 sum) {
    if constexpr (std::is_same_v<E, float>)
      return _mm512_fmadd_ps(_mm512_castsi512_ps(left), _mm512_castsi512_ps(right), sum);
    else
      return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(left), reinterpret_cast<__m512bh>(right));
  }

  // Distances of rows and pairs that the compiler knows, or 0.
  template <int64_t knownRow, int64_t knownPair>
  TFJS_TORCH_TARGET_PACKED __attribute__((noinline)) static void multiplyRows(const LeftOperand<E>& operand, const E* right, int64_t blocks,
                                                                              bool add, float* sums, int64_t distance) {
    using L = Layout<E>;
    const int64_t step = knownRow == 0 ? operand.row : knownRow, toNext = operand.block;
    const E* left = operand.data;
    __m512 sum[kRows][2];
    TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) TFJS_TORCH_UNROLL for (int j = 0; j < 2; ++j) {
      sum[i][j] = add ? _mm512_loadu_ps(sums + i * distance + j * kTile) : _mm512_setzero_ps();
    }
    for (int64_t block = 0; block < blocks; ++block, left += toNext, right += L::kBlock) {
      _Pragma("GCC unroll 4") for (int64_t p = 0; p < kTile; ++p) {
        const __m512i first = _mm512_load_si512(right + p * L::kTerms), second = _mm512_load_si512(right + L::kTileSize + p * L::kTerms);
        TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) {
          int32_t bits;
          __builtin_memcpy(&bits, left + i * step + p * knownPair, sizeof bits);
          const __m512i x = _mm512_set1_epi32(bits);
          sum[i][0] = multiplyAdd(x, first, sum[i][0]);
          sum[i][1] = multiplyAdd(x, second, sum[i][1]);
        }
      }
    }
    TFJS_TORCH_UNROLL for (int i = 0; i < kRows; ++i) TFJS_TORCH_UNROLL for (int j = 0; j < 2; ++j)
        _mm512_storeu_ps(sums + i * distance + j * kTile, sum[i][j]);
  }
};

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
