#pragma once

// The output layer with its cross-entropy by panels, for any microkernel: products, softmax and gradients of 32 tokens at a time, whose
// logits never leave the core's second cache.

#include <cmath>
#include <limits>
#include <vector>

#include "cpu/gemm/packed/attention_heads.h"
#include "cpu/simd.h"

#ifdef TFJS_TORCH_PACKED

TFJS_TORCH_INTRINSICS_BEGIN
namespace tfjs_torch::packed {

// exp(logit - top) is written twice: as left panels [tokens, V] for the hidden states' gradient, as right panels [V, tokens] for the
// weights'. The division by its sum is left to x, a row of which is as wide as the model, and to the gradient's rows.
template <typename U>
class CrossEntropyRows {
  using E = typename U::Element;
  using L = Layout<E>;

 public:
  // The weight is packed once for logits and once for dx.
  CrossEntropyRows(const CrossEntropyOperands<E>& operands, int64_t maxLogits)
      : x_(operands),
        panels_(ceilDivide(x_.tokens, kLines)),
        words_(ceilDivide(x_.vocab, kLines)),
        widths_(ceilDivide(x_.width, kLines)),
        widthBlocks_(ceilDivide(x_.width, L::kTerms)),
        alongWidth_(panelSize<E>(x_.width)),
        alongWords_(words_ * L::kPanelTerms),
        chunk_(panelsAtOnce(maxLogits)),
        alongTokens_(chunk_ * L::kPanelTerms),
        sumDistance_(padded(words_ * kLines)) {
    weight_ = roomFor<E>(memory_[0], words_ * alongWidth_);
    weightT_ = roomFor<E>(memory_[1], widths_ * alongWords_);
    rightE_ = roomFor<E>(memory_[2], words_ * alongTokens_);
    leftX_ = roomFor<E>(memory_[3], widths_ * alongTokens_);
    sums_ = roomFor<float>(memory_[4], widths_ * kLines * sumDistance_);
    const int64_t workers = workersHere();
    scratchSize_ = (alongWidth_ + kLines * widths_ * kLines + alongWords_) * static_cast<int64_t>(sizeof(E)) +
                   (kLines * widths_ * kLines + kLines * kLines + 2 * kLines * kTile) * static_cast<int64_t>(sizeof(float)) + 8 * 64;
    scratch_ = roomFor<char>(memory_[5], workers * scratchSize_);
    const Lines<E> w{x_.weight, x_.width, x_.vocab, x_.width, false}, wT{x_.weight, x_.vocab, x_.width, x_.width, true};
    constexpr int64_t kPanels = 8;
    forTasks(ceilDivide(words_, kPanels), [&](int64_t, int64_t task) {
      const int64_t first = task * kPanels, end = std::min(first + kPanels, words_);
      pack(Operand(w), false, {first, end, 0, x_.width}, weight_ + first * alongWidth_, alongWidth_);
      // Terms beyond the last word are 0.
      pack(Operand(wT), false, {0, widths_, first * kLines, std::min(end * kLines, x_.vocab)}, weightT_ + first * L::kPanelTerms,
           alongWords_);
      if (end == words_) clearAfterLastWord();
    });
  }

  void run() {
    for (int64_t first = 0; first < panels_; first += chunk_) {
      const int64_t count = std::min(chunk_, panels_ - first);
      forTasks(count, [&](int64_t worker, int64_t i) {
        [[maybe_unused]] const typename U::Scope scope;
        tokens(first + i, i, worker);
      });
      constexpr int64_t kWords = 16;
      forTasks(ceilDivide(words_, kWords), [&](int64_t, int64_t task) {
        [[maybe_unused]] const typename U::Scope scope;
        for (int64_t v = task * kWords; v < std::min((task + 1) * kWords, words_); ++v) weightSums(v, count, first > 0);
      });
    }
    constexpr int64_t kRows = 256;
    forTasks(ceilDivide(x_.vocab, kRows), [&](int64_t, int64_t task) {
      const int64_t row = task * kRows;
      writeColumns<E>(sums_ + row, sumDistance_, std::min(kRows, x_.vocab - row), x_.width, x_.dWeight + row * x_.width, x_.width);
    });
  }

 private:
  // Panels of 32 tokens whose exponentials are there at a time, for the weights' gradient: enough that its sums are not read and written
  // too often. How many changes no bit: sums are float32 from the first token to the last.
  int64_t panelsAtOnce(int64_t maxLogits) const {
    const int64_t most = std::max<int64_t>(maxLogits / std::max<int64_t>(words_ * kLines * kLines, 1), 1);
    return std::min({most, panels_, std::max<int64_t>(4, 2 * workersHere())});
  }

  TFJS_TORCH_TARGET_PACKED void clearAfterLastWord() const {
    const int64_t begin = ceilDivide(x_.vocab, L::kTerms) * L::kBlock, count = alongWords_ - begin;
    for (int64_t c = 0; c < widths_; ++c) std::fill_n(weightT_ + c * alongWords_ + begin, count, E(0));
  }

  TFJS_TORCH_TARGET_PACKED static void multiply(const LeftOperand<E>& left, const E* right, int64_t blocks, bool add, float* sums,
                                                int64_t distance) {
    U::template multiply<Loads::kKept, Loads::kKept>(left, right, blocks, kLines, add, {sums, distance * 4},
                                                     []() TFJS_TORCH_TARGET_PACKED __attribute__((always_inline)){});
  }

  // One panel of tokens, the i-th of its chunk: log-probabilities, dx, and what the weights' gradient is made of.
  TFJS_TORCH_TARGET_PACKED void tokens(int64_t panel, int64_t i, int64_t worker) const {
    const int64_t token = panel * kLines, count = std::min(kLines, x_.tokens - token), wide = widths_ * kLines;
    Pieces pieces{scratch_ + worker * scratchSize_};
    E* const left = pieces.take<E>(alongWidth_);
    E* const scaled = pieces.take<E>(kLines * wide);
    E* const leftE = pieces.take<E>(alongWords_);
    float* const out = pieces.take<float>(kLines * wide);
    float* const sums = pieces.take<float>(kLines * kLines);
    float* const most = pieces.take<float>(kLines * kTile);
    float* const total = pieces.take<float>(kLines * kTile);

    packAll<E>({x_.hidden + token * x_.width, count, x_.width, x_.width, true}, true, left);
    std::fill_n(most, kLines * kTile, -std::numeric_limits<float>::infinity());
    for (int64_t v = 0; v < words_; ++v) {
      multiply(LeftOperand<E>::panel(left), weight_ + v * alongWidth_, widthBlocks_, false, sums, kLines);
      keepLogits(sums, std::min(kLines, x_.vocab - v * kLines), most, leftE + v * L::kPanelTerms);
    }
    float top[kLines];
    for (int64_t r = 0; r < kLines; ++r) top[r] = _mm512_reduce_max_ps(_mm512_load_ps(most + r * kTile));
    float chosen[kLines];
    for (int64_t r = 0; r < count; ++r) chosen[r] = toFloat(leftE[leftPlace(r, x_.target[token + r])]);

    std::fill_n(total, kLines * kTile, 0.0f);
    E* const right = rightE_ + i * L::kPanelTerms;
    for (int64_t v = 0; v < words_; ++v) exponentials(leftE + v * L::kPanelTerms, top, total, right + v * alongTokens_);
    float scale[kLines] = {};
    for (int64_t r = 0; r < count; ++r) {
      const float sum = _mm512_reduce_add_ps(_mm512_load_ps(total + r * kTile));
      const float logProb = chosen[r] - top[r] - std::log(sum);
      x_.logProb[token + r] = logProb;
      scale[r] = x_.share[token + r] / sum;
      // p - 1, exactly, in place of p.
      const int64_t word = x_.target[token + r];
      const E value = static_cast<E>(std::expm1(logProb) * sum);
      leftE[leftPlace(r, word)] = value;
      right[word / kLines * alongTokens_ + word % kLines / kTile * L::kTileSize + L::termAt(r) + word % kTile * L::kPair + r % L::kPair] =
          value;
    }

    for (int64_t c = 0; c < widths_; ++c) {
      multiply(LeftOperand<E>::panel(leftE), weightT_ + c * alongWords_, alongWords_ / L::kBlock, false, out + c * kLines, wide);
    }
    writeRows(out, wide, scale, count, x_.width, x_.dHidden + token * x_.width, x_.width);
    scaleRows(x_.hidden + token * x_.width, scale, count, scaled);
    packLeft<U>(Operand(Lines<E>{scaled, x_.width, count, x_.width, false}), {0, widths_, 0, count}, leftX_ + i * L::kPanelTerms,
                alongTokens_);
    if (count < kLines) clearAfterLastToken(count, leftX_ + i * L::kPanelTerms);
  }

  TFJS_TORCH_TARGET_PACKED void clearAfterLastToken(int64_t count, E* to) const {
    const int64_t begin = ceilDivide(count, L::kTerms) * L::kBlock;
    for (int64_t c = 0; c < widths_; ++c) std::fill_n(to + c * alongTokens_ + begin, L::kPanelTerms - begin, E(0));
  }

  // Where the value of a row and a word lies in left panels.
  static int64_t leftPlace(int64_t row, int64_t word) {
    return word / L::kTerms * L::kBlock + row / kTile * L::kTileSize + row % kTile * L::kTerms + word % L::kTerms;
  }

  // Logits [32, 32] to left panels, those beyond the last word -∞, and the largest of each row so far in 16 parts.
  TFJS_TORCH_TARGET_PACKED static void keepLogits(const float* sums, int64_t words, float* most, E* to) {
    const __m512 none = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int64_t r = 0; r < kLines; ++r, sums += kLines, most += kTile) {
      const __m512 x = _mm512_mask_mov_ps(none, firstOf16(words), _mm512_load_ps(sums));
      const __m512 y = _mm512_mask_mov_ps(none, firstOf16(words - kTile), _mm512_load_ps(sums + kTile));
      _mm512_store_ps(most, _mm512_max_ps(_mm512_load_ps(most), _mm512_max_ps(x, y)));
      E* const at = to + r / kTile * L::kTileSize + r % kTile * L::kTerms;
      if constexpr (std::is_same_v<E, float>) {
        _mm512_store_ps(at, x);
        _mm512_store_ps(at + L::kBlock, y);
      } else {
        _mm512_store_si512(at, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
      }
    }
  }

  // e^(logit - top) of 32 tokens and 32 words in the logits' place and as right panels, and each row's sum in 16 parts.
  TFJS_TORCH_TARGET_PACKED static void exponentials(E* left, const float* top, float* total, E* right) {
    [[maybe_unused]] const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                                            5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int64_t r = 0; r < kLines; r += 2) {
      __m512 e[2][2];
      TFJS_TORCH_UNROLL for (int i = 0; i < 2; ++i) {
        const __m512 shift = _mm512_set1_ps(top[r + i]);
        E* const at = left + (r + i) / kTile * L::kTileSize + (r + i) % kTile * L::kTerms;
        if constexpr (std::is_same_v<E, float>) {
          TFJS_TORCH_UNROLL for (int half = 0; half < 2; ++half) {
            e[i][half] = exponential<E>(_mm512_sub_ps(_mm512_load_ps(at + half * L::kBlock), shift), 0xffff);
            _mm512_store_ps(at + half * L::kBlock, e[i][half]);
            _mm512_store_ps(right + half * L::kTileSize + L::termAt(r + i), e[i][half]);
          }
        } else {
          const auto x = vectors::load(at, ~0u);
          e[i][0] = exponential<E>(_mm512_sub_ps(x.low, shift), 0xffff);
          e[i][1] = exponential<E>(_mm512_sub_ps(x.high, shift), 0xffff);
          _mm512_store_si512(at, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(e[i][1], e[i][0])));
        }
        float* const sum = total + (r + i) * kTile;
        _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(e[i][0], e[i][1])));
      }
      if constexpr (!std::is_same_v<E, float>) {
        TFJS_TORCH_UNROLL for (int half = 0; half < 2; ++half) {
          const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(e[1][half], e[0][half]));
          _mm512_store_si512(right + half * L::kTileSize + L::termAt(r), _mm512_permutexvar_epi16(pairs, both));
        }
      }
    }
  }

  // x·scale, row by row.
  TFJS_TORCH_TARGET_PACKED void scaleRows(const E* x, const float* scale, int64_t rows, E* to) const {
    for (int64_t r = 0; r < rows; ++r, x += x_.width, to += x_.width) {
      const __m512 by = _mm512_set1_ps(scale[r]);
      for (int64_t c = 0; c < x_.width; c += kLines) {
        const int64_t n = x_.width - c;
        const __m512 low = _mm512_castsi512_ps(loadFloat(x + c, n)), high = _mm512_castsi512_ps(loadFloat(x + c + kTile, n - kTile));
        storeLine(_mm512_mul_ps(low, by), _mm512_mul_ps(high, by), to + c, n);
      }
    }
  }

  // The weights' gradient of 32 words over a chunk of tokens, transposed.
  TFJS_TORCH_TARGET_PACKED void weightSums(int64_t v, int64_t panels, bool add) const {
    const auto layoutX = U::kTakesAnyLeft ? LeftOperand<E>::columns(leftX_) : LeftOperand<E>::panel(leftX_);
    for (int64_t c = 0; c < widths_; ++c) {
      multiply(layoutX.at(leftX_ + c * alongTokens_), rightE_ + v * alongTokens_, panels * L::kPanelBlocks, add,
               sums_ + c * kLines * sumDistance_ + v * kLines, sumDistance_);
    }
  }

  CrossEntropyOperands<E> x_;
  int64_t panels_, words_, widths_, widthBlocks_, alongWidth_, alongWords_, chunk_, alongTokens_, sumDistance_, scratchSize_ = 0;
  at::Tensor memory_[6];
  E *weight_, *weightT_, *rightE_, *leftX_;
  float* sums_;
  char* scratch_;
};

template <typename U>
void crossEntropy(const CrossEntropyOperands<typename U::Element>& x, int64_t maxLogits) {
  CrossEntropyRows<U>(x, maxLogits).run();
}

}  // namespace tfjs_torch::packed
TFJS_TORCH_INTRINSICS_END

#endif
