#include "cpu/normals.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "cpu/simd.h"
#include "cpu/tasks.h"

namespace tfjs_torch {
namespace {

// Numbers worked on together: what they take stays in the first cache.
constexpr int64_t kBlock = 512;
// Two computations of a normal number in double precision differ by no more than this part of it: each of logarithm, cosine, root and
// products is within a unit in the last place, 2⁻⁵², or two.
constexpr double kUncertainty = 0x1p-47;
constexpr double kTruncation = 2;
// Numbers that are left out at a stream's start.
constexpr int kWarmUp = 12;

struct Block {
  // 53 random bits each, of which the numbers in [0, 1) are made.
  alignas(64) uint64_t first[kBlock], second[kBlock];
  alignas(64) double square[kBlock], normal[kBlock];
};

struct Sfc32 {
  uint32_t a, b, c, d;
  uint32_t next() {
    const uint32_t t = a + b + d++;
    a = b ^ (b >> 9);
    b = c + (c << 3);
    c = ((c << 21) | (c >> 11)) + t;
    return t;
  }
  uint64_t bits53() {
    const uint64_t high = next() >> 5;
    return high << 26 | next() >> 6;
  }
};

// An integer below 2⁵² as a double, in instructions that every vector unit has.
[[gnu::always_inline]] inline double toDouble(uint64_t n) {
  constexpr uint64_t kTwo52 = uint64_t{0x433} << 52;
  return std::bit_cast<double>(n | kTwo52) - 0x1p52;
}
// The same below 2⁵³.
[[gnu::always_inline]] inline double toDouble53(uint64_t n) { return toDouble(n >> 1) * 2 + toDouble(n & 1); }

// x in (0, 1] and angle in [0, 2π) of a number, as JavaScript has them.
[[gnu::always_inline]] inline double xOf(uint64_t bits) { return 1 - toDouble53(bits) * 0x1p-53; }
[[gnu::always_inline]] inline double angleOf(uint64_t bits) { return 6.283185307179586 * (toDouble53(bits) * 0x1p-53); }

// ln x for x in (0, 1], normal numbers, within a unit in the last place: fdlibm's polynomial (Sun Microsystems, 1993).
[[gnu::always_inline]] inline double logarithm(double x) {
  constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcd;  // √½
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  // Exponent so that the mantissa lies in [√½, √2).
  const uint64_t shifted = bits - kRootHalf + (uint64_t{1023} << 52);
  const double k = toDouble(shifted >> 52) - 1023;
  const double m = std::bit_cast<double>((shifted & ((uint64_t{1} << 52) - 1)) + kRootHalf);
  const double f = m - 1, s = f / (2 + f), z = s * s, w = z * z;
  const double odd = z * (0.6666666666666735130 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)));
  const double even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332));
  const double half = 0.5 * f * f;
  return k * 6.93147180369123816490e-01 - ((half - (s * (half + odd + even) + k * 1.90821492927058770002e-10)) - f);
}

// cos of an angle in [0, 2π], within two units in the last place.
[[gnu::always_inline]] inline double cosine(double angle) {
  const double q = angle * 0.6366197723675814 + 0x1.8p52;  // quarter turns, rounded, in the low bits
  const uint64_t quarter = std::bit_cast<uint64_t>(q);
  const double n = q - 0x1.8p52;
  // π/2 in three parts; the products with the first two are exact.
  const double r = ((angle - n * 1.57079632673412561417) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
  const double z = r * r;
  const double sine =
      r + r * z *
              (-1.66666666666666324348e-01 +
               z * (8.33333333332248946124e-03 +
                    z * (-1.98412698298579493134e-04 +
                         z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))));
  const double tail = z * z *
                      (4.16666666666666019037e-02 +
                       z * (-1.38888888888741095749e-03 +
                            z * (2.48015872894767294178e-05 +
                                 z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const double half = 0.5 * z, w = 1 - half;
  const double cosineOfRest = w + (((1 - w) - half) + tail);
  const double value = (quarter & 1) != 0 ? sine : cosineOfRest;
  // Quarters 1 and 2 are negative.
  return ((quarter + 1) & 2) != 0 ? -value : value;
}

[[gnu::always_inline]] inline void normalsOf(Block& block) {
#pragma omp simd
  for (int64_t i = 0; i < kBlock; ++i) block.square[i] = -2 * logarithm(xOf(block.first[i]));
#pragma omp simd
  for (int64_t i = 0; i < kBlock; ++i) block.normal[i] = cosine(angleOf(block.second[i]));
  // Apart: a root that may set errno is not computed in vectors.
  for (int64_t i = 0; i < kBlock; ++i) block.normal[i] *= std::sqrt(block.square[i]);
}

// Whether every number that is within the uncertainty of v is the same float32.
[[gnu::always_inline]] inline bool isSettled(double v) {
  return static_cast<float>(v * (1 - kUncertainty)) == static_cast<float>(v * (1 + kUncertainty)) && v != 0;
}

// What is left to do in the calling thread.
struct Unsettled {
  size_t draw;
  int64_t index;
  double x, angle;
};

// False where a number is so close to 2 that only `exact`, which is not given, can say whether it is drawn again.
bool fill(const NormalDraw& draw, size_t which, float* out, std::vector<Unsettled>& unsettled, const ExactNormal* exact) {
  Sfc32 stream{draw.state[0], draw.state[1], draw.state[2], draw.state[3]};
  for (int i = 0; i < kWarmUp; ++i) stream.next();
  Block block;
  for (int64_t filled = 0; filled < draw.count;) {
    for (int64_t i = 0; i < kBlock; ++i) {
      block.first[i] = stream.bits53();
      block.second[i] = stream.bits53();
    }
    simd([&]() TFJS_TORCH_INLINE_LAMBDA { normalsOf(block); });
    for (int64_t i = 0; i < kBlock && filled < draw.count; ++i) {
      double z = block.normal[i];
      if (draw.isTruncated && std::abs(z) > kTruncation * (1 - kUncertainty)) {
        if (std::abs(z) < kTruncation * (1 + kUncertainty)) {
          if (exact == nullptr) return false;
          z = (*exact)(xOf(block.first[i]), angleOf(block.second[i]));
        }
        if (std::abs(z) > kTruncation) continue;
      }
      const double v = z * draw.factor;
      out[filled] = static_cast<float>(v);
      if (!isSettled(v)) unsettled.push_back({which, filled, xOf(block.first[i]), angleOf(block.second[i])});
      ++filled;
    }
  }
  return true;
}

}  // namespace

std::vector<at::Tensor> drawNormals(const std::vector<NormalDraw>& draws, const ExactNormal& exact) {
  std::vector<at::Tensor> results;
  for (const NormalDraw& draw : draws) results.push_back(at::empty({draw.count}, at::TensorOptions().dtype(at::kFloat)));
  // The longest first: the threads end together.
  std::vector<size_t> order(draws.size()), open;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return draws[a].count > draws[b].count; });
  std::vector<Unsettled> unsettled;
  std::mutex mutex;
  forTasks(static_cast<int64_t>(draws.size()), [&](int64_t, int64_t task) {
    const size_t which = order[task];
    std::vector<Unsettled> own;
    const bool isWhole = fill(draws[which], which, results[which].mutable_data_ptr<float>(), own, nullptr);
    const std::lock_guard<std::mutex> lock(mutex);
    if (isWhole)
      unsettled.insert(unsettled.end(), own.begin(), own.end());
    else
      open.push_back(which);
  });
  for (const size_t which : open) fill(draws[which], which, results[which].mutable_data_ptr<float>(), unsettled, &exact);
  for (const auto& [which, index, x, angle] : unsettled) {
    results[which].mutable_data_ptr<float>()[index] = static_cast<float>(exact(x, angle) * draws[which].factor);
  }
  return results;
}

}  // namespace tfjs_torch
