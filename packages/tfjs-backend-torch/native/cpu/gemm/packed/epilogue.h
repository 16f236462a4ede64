#pragma once

// How sums leave a microkernel: rounded to bfloat16, added to what is there, past the caches, with their squares.

#include "cpu/gemm/packed/panels.h"

#ifdef TFJS_TORCH_PACKED

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

// Where a result goes. Large ones go past the caches: a line would be read before it is written, and is not needed soon.
struct Target {
  const Bfloat16Result& out;
  int64_t rows, columns;
  bool streams;
  // Σ of squares where wanted: of each row in 16 parts, and of each column of whole panels.
  float *along = nullptr, *down = nullptr;
  Target(const Bfloat16Result& result, int64_t m, int64_t n) : out(result), rows(m), columns(n) {
    constexpr int64_t large = 1 << 20, line = 64, size = sizeof(BFloat16);
    const bool isAligned = out.distance * size % line == 0 && reinterpret_cast<uintptr_t>(out.data) % line == 0;
    streams = !out.isFloat && !out.add && m * n * size >= large && isAligned;
  }
  // Whether sums of these panels need not go by way of memory of their own.
  bool takes(int64_t rowPanel, int64_t columnPanel) const {
    return out.isFloat && along == nullptr && (rowPanel + 1) * kLines <= rows && (columnPanel + 1) * kLines <= columns;
  }
};

// Sums [32, 32] on their way to the result: row after row while the next ones are multiplied.
class Writing {
 public:
  explicit Writing(const Target& target) : target_(target) {}

  void begin(const float* sums, int64_t row, int64_t column) {
    sums_ = sums;
    rows_ = std::min(target_.rows - row, kLines);
    columns_ = target_.columns - column;
    along_ = target_.along + row * kTile;
    down_ = target_.down + column;
    at_ = row * target_.out.distance + column;
  }

  TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)) void some(int64_t rows) {
    for (; rows > 0 && rows_ > 0; --rows, --rows_, sums_ += kLines, at_ += target_.out.distance) {
      writeRow();
      if (target_.along != nullptr) addSquares();
    }
  }

 private:
  TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)) void writeRow() const {
    __m512 x = _mm512_load_ps(sums_), y = _mm512_load_ps(sums_ + kTile);
    if (target_.out.isFloat) {
      float* const to = static_cast<float*>(target_.out.data) + at_;
      const __mmask16 first = firstOf16(columns_), second = firstOf16(columns_ - kTile);
      if (target_.out.add) {
        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(first, to));
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(second, to + kTile));
      }
      _mm512_mask_storeu_ps(to, first, x);
      _mm512_mask_storeu_ps(to + kTile, second, y);
      return;
    }
    BFloat16* const to = static_cast<BFloat16*>(target_.out.data) + at_;
    if (target_.streams && columns_ >= kLines) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
      return;
    }
    const __mmask32 both = firstOf32(columns_);
    if (target_.out.add) {
      const vectors::Floats32 old = vectors::load(to, both);
      x = _mm512_add_ps(x, old.low);
      y = _mm512_add_ps(y, old.high);
    }
    _mm512_mask_storeu_epi16(to, both, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
  }

  // Sums of what is not in the result are of 0.
  TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)) void addSquares() {
    const __m512 x = _mm512_load_ps(sums_), y = _mm512_load_ps(sums_ + kTile);
    _mm512_storeu_ps(along_, _mm512_fmadd_ps(x, x, _mm512_fmadd_ps(y, y, _mm512_loadu_ps(along_))));
    _mm512_storeu_ps(down_, _mm512_fmadd_ps(x, x, _mm512_loadu_ps(down_)));
    _mm512_storeu_ps(down_ + kTile, _mm512_fmadd_ps(y, y, _mm512_loadu_ps(down_ + kTile)));
    along_ += kTile;
  }

  const Target& target_;
  const float* sums_ = nullptr;
  float *along_ = nullptr, *down_ = nullptr;
  int64_t rows_ = 0, columns_ = 0, at_ = 0;
};

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
