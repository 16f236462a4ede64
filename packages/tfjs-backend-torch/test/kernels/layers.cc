// Holds the kernels of attention, norm, gated GELU and cross-entropy to plain loops in double.
#include "checks.h"

namespace {

// The largest difference, relative to the largest expected value.
template <typename T>
double furthest(Buffer<T>& actual, const std::vector<double>& expected) {
  double most = 1e-30, off = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    most = std::max(most, std::abs(expected[i]));
    const double difference = std::abs(inFloat(actual[i]) - expected[i]);
    off = std::max(off, std::isnan(difference) ? 1e30 : difference);
  }
  return off / most;
}

template <typename T>
constexpr double kTolerance = std::is_same_v<T, float> ? 2e-6 : 5e-3;

template <typename X, typename Y>
void checkNorm(int64_t rows, int64_t width, bool hasKnown) {
  constexpr bool isBfloat16X = !std::is_same_v<X, float>, isBfloat16Y = !std::is_same_v<Y, float>;
  const std::string name = "norm of [" + std::to_string(rows) + ", " + std::to_string(width) + "]";
  Buffer<X> x = drawn<X>(rows * width), known = drawn<X>(rows * width), dx(rows * width);
  Buffer<Y> y(rows * width), dy = drawn<Y>(rows * width);
  Buffer<float> weight = drawn<float>(width), inverse(rows), partial(normGradientBlocks(rows) * width);
  constexpr float kEpsilon = 1e-6f;
  rmsNorm(x.data(), isBfloat16X, weight.data(), kEpsilon, rows, width, y.data(), isBfloat16Y, inverse.data(), nullptr);
  rmsNormGradient(dy.data(), isBfloat16Y, x.data(), isBfloat16X, weight.data(), inverse.data(), hasKnown ? known.data() : nullptr, rows,
                  width, dx.data(), partial.data(), nullptr);
  std::vector<double> value(rows * width), gradient(rows * width), ofWeight(width, 0), scales(rows);
  for (int64_t n = 0; n < rows; ++n) {
    double squares = 0, along = 0;
    for (int64_t i = 0; i < width; ++i) squares += std::pow(static_cast<double>(inFloat(x[n * width + i])), 2);
    const double scale = 1 / std::sqrt(squares / width + kEpsilon);
    scales[n] = scale;
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = n * width + i;
      value[at] = inFloat(x[at]) * scale * weight[i];
      ofWeight[i] += inFloat(dy[at]) * inFloat(x[at]) * scale;
      along += static_cast<double>(inFloat(dy[at])) * weight[i] * inFloat(x[at]) * scale / width;
    }
    for (int64_t i = 0; i < width; ++i) {
      const int64_t at = n * width + i;
      gradient[at] = scale * (inFloat(dy[at]) * weight[i] - inFloat(x[at]) * scale * along) + (hasKnown ? inFloat(known[at]) : 0);
    }
  }
  Buffer<float> dWeight(width);
  for (int64_t b = 0; b < normGradientBlocks(rows); ++b) {
    for (int64_t i = 0; i < width; ++i) dWeight[i] += partial[b * width + i];
  }
  check(furthest(y, value) < kTolerance<Y>, name);
  check(furthest(inverse, scales) < kTolerance<float>, name + ": inverse");
  check(furthest(dx, gradient) < kTolerance<X>, name + ": gradient");
  check(furthest(dWeight, ofWeight) < kTolerance<float>, name + ": weight's gradient");
  check(y.whole() && inverse.whole() && dx.whole() && partial.whole(), name + ": writes beyond the end");
}

double gelu(double x) { return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

template <typename T>
void checkGelu(int64_t rows, int64_t f) {
  const std::string name = "gated GELU of [" + std::to_string(rows) + ", " + std::to_string(f) + "]";
  constexpr bool isBfloat16 = !std::is_same_v<T, float>;
  Buffer<T> h = drawn<T>(rows * 2 * f), hidden(rows * f), again(rows * f), d = drawn<T>(rows * f), dh(rows * 2 * f);
  gatedGelu(h.data(), isBfloat16, rows, f, hidden.data(), nullptr);
  gatedGeluGradient(d.data(), h.data(), isBfloat16, rows, f, dh.data(), again.data(), nullptr);
  std::vector<double> value(rows * f), gradient(rows * 2 * f);
  for (int64_t at = 0; at < rows * f; ++at) {
    const int64_t place = at / f * 2 * f + at % f;
    const double gate = inFloat(h[place]), factor = inFloat(h[place + f]), step = 1e-5;
    value[at] = gelu(gate) * factor;
    gradient[place] = inFloat(d[at]) * factor * (gelu(gate + step) - gelu(gate - step)) / (2 * step);
    gradient[place + f] = inFloat(d[at]) * gelu(gate);
  }
  check(furthest(hidden, value) < kTolerance<T> && furthest(again, value) < kTolerance<T>, name);
  check(furthest(dh, gradient) < kTolerance<T>, name + ": gradient");
  check(hidden.whole() && again.whole() && dh.whole(), name + ": writes beyond the end");
}

template <typename T>
void checkCrossEntropy(int64_t rows, int64_t vocab) {
  const std::string name = "cross-entropy of [" + std::to_string(rows) + ", " + std::to_string(vocab) + "]";
  constexpr bool isBfloat16 = !std::is_same_v<T, float>;
  Buffer<T> logits = drawn<T>(rows * vocab);
  Buffer<float> share = drawn<float>(rows), logProb(rows), alone(rows);
  Buffer<int32_t> target(rows);
  for (int64_t n = 0; n < rows; ++n) target[n] = static_cast<int32_t>(generator() % vocab);
  logits[vocab - 1] = as<T>(-std::numeric_limits<float>::infinity());
  target[0] = 0;
  const Buffer<T> before = logits;
  std::vector<double> expected(rows), gradient(rows * vocab);
  for (int64_t n = 0; n < rows; ++n) {
    double sum = 0;
    for (int64_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(inFloat(logits[n * vocab + v])));
    expected[n] = inFloat(logits[n * vocab + target[n]]) - std::log(sum);
    for (int64_t v = 0; v < vocab; ++v) {
      gradient[n * vocab + v] = share[n] * (std::exp(static_cast<double>(inFloat(logits[n * vocab + v]))) / sum - (v == target[n]));
    }
  }
  crossEntropyRows(logits.data(), isBfloat16, target.data(), nullptr, rows, vocab, alone.data(), nullptr);
  check(std::memcmp(logits.data(), before.values.data(), rows * vocab * sizeof(T)) == 0, name + ": logits stay without shares");
  crossEntropyRows(logits.data(), isBfloat16, target.data(), share.data(), rows, vocab, logProb.data(), nullptr);
  check(furthest(logProb, expected) < 2e-6 && furthest(alone, expected) < 2e-6, name);
  check(furthest(logits, gradient) < kTolerance<T>, name + ": gradient");
  target[0] = static_cast<int32_t>(vocab);
  crossEntropyRows(logits.data(), isBfloat16, target.data(), share.data(), rows, vocab, logProb.data(), nullptr);
  check(std::isnan(logProb[0]) && std::isnan(inFloat(logits[0])) && (rows < 2 || !std::isnan(logProb[1])), name + ": target outside");
  check(logits.whole() && logProb.whole() && alone.whole(), name + ": writes beyond the end");
}

// Heads of 64 of T queries and S keys that lie side by side in rows, as projections leave them.
void checkAttention(int64_t batch, int64_t T, int64_t S, bool causal, bool hasPosition, bool hasReal) {
  const std::string name = "attention of " + std::to_string(T) + " queries and " + std::to_string(S) + " keys" +
                           (causal ? ", causal" : "") + (hasPosition ? ", position" : "") + (hasReal ? ", mask" : "");
  constexpr int64_t K = 64, H = 2, inner = H * K;
  const int64_t span = T + S - 1;
  using B = __nv_bfloat16;
  Buffer<B> q = drawn<B>(batch * T * inner), kv = drawn<B>(batch * S * 2 * inner), d = drawn<B>(batch * T * inner);
  for (int64_t i = 0; i < q.size; ++i) q[i] = as<B>(0.3f * inFloat(q[i]));
  Buffer<B> context(batch * T * inner), dq(batch * T * inner), dkv(batch * S * 2 * inner);
  Buffer<float> position = drawn<float>(H * span), real(batch * S, 1), largest(batch * H * T), inverse(batch * H * T), along(batch * H * T);
  for (int64_t i = 0; i < batch * S; ++i) real[i] = i % S >= std::max<int64_t>(1, S - S / 4 * (i / S + 1)) ? 0 : 1;
  const int64_t parts = attentionDistanceParts(batch, T);
  Buffer<float> distances(parts * H * span);
  const AttentionWork work = {{q.data(), T, inner},
                              {kv.data(), S, 2 * inner},
                              {kv.data() + inner, S, 2 * inner},
                              H,
                              causal,
                              hasPosition ? position.data() : nullptr,
                              hasReal ? real.data() : nullptr};
  attentionForward(work, batch, context.data(), largest.data(), inverse.data(), nullptr);
  attentionGradient(work, batch,
                    {{context.data(), T, inner},
                     {d.data(), T, inner},
                     largest.data(),
                     inverse.data(),
                     along.data(),
                     dq.data(),
                     dkv.data(),
                     dkv.data() + inner,
                     inner,
                     2 * inner,
                     hasPosition ? distances.data() : nullptr},
                    nullptr);
  std::vector<double> value(q.size, 0), ofQ(q.size, 0), ofKv(kv.size, 0), ofPosition(H * span, 0);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      const auto key = [&](int64_t s) { return (b * S + s) * 2 * inner + h * K; };
      for (int64_t t = 0; t < T; ++t) {
        const int64_t query = (b * T + t) * inner + h * K;
        std::vector<double> p(S);
        double most = -1e300, sum = 0, dot = 0;
        for (int64_t s = 0; s < S; ++s) {
          double score = hasPosition ? position[h * span + s - t + T - 1] : 0;
          if (hasReal && real[b * S + s] == 0) score -= 1e9;
          if (causal && s > t) score -= 1e9;
          for (int64_t k = 0; k < K; ++k) score += static_cast<double>(inFloat(q[query + k])) * inFloat(kv[key(s) + k]);
          p[s] = score;
          most = std::max(most, score);
        }
        for (double& x : p) sum += x = std::exp(x - most);
        for (int64_t s = 0; s < S; ++s) {
          p[s] /= sum;
          for (int64_t k = 0; k < K; ++k) {
            value[query + k] += p[s] * inFloat(kv[key(s) + inner + k]);
            ofKv[key(s) + inner + k] += p[s] * inFloat(d[query + k]);
            dot += p[s] * inFloat(kv[key(s) + inner + k]) * inFloat(d[query + k]);
          }
        }
        for (int64_t s = 0; s < S; ++s) {
          double dp = 0;
          for (int64_t k = 0; k < K; ++k) dp += static_cast<double>(inFloat(d[query + k])) * inFloat(kv[key(s) + inner + k]);
          const double dScore = p[s] * (dp - dot);
          ofPosition[h * span + s - t + T - 1] += dScore;
          for (int64_t k = 0; k < K; ++k) {
            ofQ[query + k] += dScore * inFloat(kv[key(s) + k]);
            ofKv[key(s) + k] += dScore * inFloat(q[query + k]);
          }
        }
      }
    }
  }
  Buffer<float> dPosition(H * span);
  for (int64_t part = 0; part < parts; ++part) {
    for (int64_t i = 0; i < H * span; ++i) dPosition[i] += distances[part * H * span + i];
  }
  const double tolerance = 1e-2;
  check(furthest(context, value) < tolerance, name);
  check(furthest(dq, ofQ) < tolerance, name + ": queries' gradient");
  check(furthest(dkv, ofKv) < tolerance, name + ": keys' and values' gradient");
  if (hasPosition) check(furthest(dPosition, ofPosition) < tolerance, name + ": position's gradient");
  check(context.whole() && dq.whole() && dkv.whole() && largest.whole() && inverse.whole() && along.whole() && distances.whole(),
        name + ": writes beyond the end");
}

}  // namespace

void checkLayers() {
  for (const int64_t width : {4, 128, 300, 2052}) {
    checkNorm<float, float>(3, width, false);
    checkNorm<float, __nv_bfloat16>(5, width, true);
    checkNorm<__nv_bfloat16, __nv_bfloat16>(2, width, true);
  }
  checkNorm<float, float>(1100, 8, true);  // more rows than blocks
  for (const int64_t f : {8, 40, 1024}) {
    checkGelu<float>(3, f);
    checkGelu<__nv_bfloat16>(3, f);
  }
  for (const int64_t vocab : {3, 8, 4100, 8192}) {
    checkCrossEntropy<float>(3, vocab);
    checkCrossEntropy<__nv_bfloat16>(2, vocab);
  }
  checkAttention(1, 1, 30, false, false, true);
  checkAttention(1, 3, 17, false, true, false);
  checkAttention(2, 5, 9, false, false, true);
  checkAttention(2, 70, 70, false, true, true);
  checkAttention(1, 66, 66, true, true, false);
  checkAttention(1, 20, 130, false, false, true);
  checkAttention(1, 70, 70, true, true, true);
}
