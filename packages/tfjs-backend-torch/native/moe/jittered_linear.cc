// The router's linear layer of jittered tokens: (x ⊙ factors)·Wᵀ in float32, forward and backward.
#include <algorithm>
#include <vector>

#include "cpu/gemm/matmul.h"
#include "cpu/tasks.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/dropout.h"
#include "t5/jitter.h"

namespace tfjs_torch {
namespace {

// 16 values, wherever they lie; the compiler makes two or four vectors of it where the CPU's are shorter.
constexpr int64_t kVector = 16;
using Vector = float __attribute__((vector_size(64), aligned(4), may_alias));
[[gnu::always_inline]] inline Vector& vectorAt(float* x) { return *reinterpret_cast<Vector*>(x); }
[[gnu::always_inline]] inline const Vector& vectorAt(const float* x) { return *reinterpret_cast<const Vector*>(x); }
int64_t wholeVectors(int64_t n) { return (n + kVector - 1) / kVector * kVector; }

// Rows that are worked on together, so that sums need not wait for one another; rows that stay in the first cache; and those of a task.
constexpr int64_t kTogether = 6, kFewRows = 16 * kTogether, kTaskRows = 6 * kFewRows;

int64_t tasksOf(int64_t rows) { return (rows + kTaskRows - 1) / kTaskRows; }

// body(task, first row, rows) for ranges that do not depend on the number of threads.
template <typename F>
void forRows(int64_t rows, const F& body) {
  forTasks(tasksOf(rows), [&](int64_t, int64_t task) {
    const int64_t first = task * kTaskRows;
    simd([&]() TFJS_TORCH_INLINE_LAMBDA { body(task, first, std::min(kTaskRows, rows - first)); });
  });
}

// x's rows, each filled with 0 to whole vectors.
std::vector<float> paddedRows(const at::Tensor& x) {
  const int64_t rows = x.size(0), width = x.size(1), whole = wholeVectors(width);
  std::vector<float> padded(rows * whole, 0.0f);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(x.const_data_ptr<float>() + r * width, width, padded.data() + r * whole);
  return padded;
}

// to [rows, whole] ← x ⊙ factors [rows, width].
template <typename X>
[[gnu::always_inline]] inline void timesFactors(const X* x, const float* factors, float* to, int64_t rows, int64_t width, int64_t whole) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) to[r * whole + c] = toFloat(x[r * width + c]) * factors[r * width + c];
  }
}

// to [n, columns] ← a [n, terms] · b [terms, columns], rows so far apart, n of kTogether at most, columns whole vectors.
template <int64_t n>
[[gnu::always_inline]] inline void multiplyRows(const float* a, int64_t aApart, const float* b, int64_t terms, int64_t columns, float* to) {
  for (int64_t c = 0; c < columns; c += kVector) {
    Vector sums[n] = {};
    for (int64_t k = 0; k < terms; ++k) {
      const Vector of = vectorAt(b + k * columns + c);
      TFJS_TORCH_UNROLL for (int64_t r = 0; r < n; ++r) sums[r] += a[r * aApart + k] * of;
    }
    TFJS_TORCH_UNROLL for (int64_t r = 0; r < n; ++r) vectorAt(to + r * columns + c) = sums[r];
  }
}
[[gnu::always_inline]] inline void multiplyFew(const float* a, int64_t aApart, const float* b, int64_t terms, int64_t columns, int64_t n,
                                               float* to) {
  if (n == kTogether) return multiplyRows<kTogether>(a, aApart, b, terms, columns, to);
  for (int64_t r = 0; r < n; ++r) multiplyRows<1>(a + r * aApart, aApart, b, terms, columns, to + r * columns);
}

// sums [outputs, whole] += aᵀ [outputs, rows] · b [rows, whole], `n` outputs together.
template <int64_t n>
[[gnu::always_inline]] inline void addOuter(const float* a, int64_t aApart, const float* b, int64_t rows, int64_t whole, float* sums) {
  for (int64_t c = 0; c < whole; c += kVector) {
    Vector own[n];
    TFJS_TORCH_UNROLL for (int64_t o = 0; o < n; ++o) own[o] = vectorAt(sums + o * whole + c);
    for (int64_t r = 0; r < rows; ++r) {
      const Vector of = vectorAt(b + r * whole + c);
      TFJS_TORCH_UNROLL for (int64_t o = 0; o < n; ++o) own[o] += a[r * aApart + o] * of;
    }
    TFJS_TORCH_UNROLL for (int64_t o = 0; o < n; ++o) vectorAt(sums + o * whole + c) = own[o];
  }
}

// x [N, D], weight [O, D], step int32 [1]; jitter's two numbers and the words of its key -> y [N, O], factors [N, D].
void jitteredLinear(Call& c) {
  const at::Tensor x = c.x(0).contiguous(), weight = c.x(1).to(at::kFloat).contiguous(), &step = c.x(2);
  const auto a = static_cast<float>(c.number()), b = static_cast<float>(c.number());
  const Dims key = c.ints(2);
  const auto key0 = static_cast<uint32_t>(key[0]), key1 = static_cast<uint32_t>(key[1]);
  const NoiseFactors jitter{false, a, b};
  const auto options = c.options(at::kFloat);
  if (onCuda(x)) {
    const at::Tensor factors = timesNoise(at::ones(x.sizes(), options), step, key0, key1, jitter);
    c.result(product(at::mul(x.to(at::kFloat), factors), weight.t()));
    return c.result(factors);
  }
  const int64_t rows = x.size(0), width = x.size(1), outputs = weight.size(0), whole = wholeVectors(outputs);
  const PhiloxDraws draws(key0, key1, static_cast<uint32_t>(step.item<int32_t>()));
  at::Tensor factors = at::empty({rows, width}, options), y = at::empty({rows, outputs}, options);
  const std::vector<float> byTerm = paddedRows(weight.t().contiguous());
  float* const allFactors = factors.mutable_data_ptr<float>();
  float* const out = y.mutable_data_ptr<float>();
  withType(x, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    const T* const in = x.const_data_ptr<T>();
    forRows(rows, [&](int64_t, int64_t first, int64_t count) TFJS_TORCH_INLINE_LAMBDA {
      jitterFactors(draws, jitter, first * width, count * width, allFactors + first * width);
      std::vector<float> memory(kTogether * (width + whole));
      float *const jittered = memory.data(), *const few = jittered + kTogether * width;
      for (int64_t r = first; r < first + count; r += kTogether) {
        const int64_t n = std::min(kTogether, first + count - r);
        timesFactors(in + r * width, allFactors + r * width, jittered, n, width, width);
        multiplyFew(jittered, width, byTerm.data(), width, whole, n, few);
        for (int64_t i = 0; i < n; ++i) std::copy_n(few + i * whole, outputs, out + (r + i) * outputs);
      }
    });
  });
  c.result(y);
  c.result(factors);
}

// dy [N, O], x, weight, factors -> dx in x's dtype, dWeight in float32.
void jitteredLinearGrad(Call& c) {
  const at::Tensor dy = c.x(0).to(at::kFloat).contiguous(), x = c.x(1).contiguous(), weight = c.x(2).to(at::kFloat).contiguous();
  const at::Tensor factors = c.x(3).contiguous();
  if (onCuda(x)) {
    c.result(at::mul(product(dy, weight), factors).to(x.scalar_type()));
    return c.result(product(dy.t(), at::mul(x.to(at::kFloat), factors)));
  }
  const int64_t rows = x.size(0), width = x.size(1), outputs = weight.size(0), whole = wholeVectors(width);
  at::Tensor dx = at::empty(x.sizes(), x.options()), dWeight = at::empty(weight.sizes(), weight.options());
  const std::vector<float> padded = paddedRows(weight);
  const int64_t tasks = tasksOf(rows);
  std::vector<float> sums(tasks * outputs * whole, 0.0f);
  const float *const allFactors = factors.const_data_ptr<float>(), *const in = dy.const_data_ptr<float>();
  withType(x, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    const T* const values = x.const_data_ptr<T>();
    T* const out = dx.mutable_data_ptr<T>();
    forRows(rows, [&](int64_t task, int64_t first, int64_t count) TFJS_TORCH_INLINE_LAMBDA {
      std::vector<float> memory((kFewRows + kTogether) * whole, 0.0f);
      float *const jittered = memory.data(), *const few = jittered + kFewRows * whole, *const own = sums.data() + task * outputs * whole;
      for (int64_t from = first; from < first + count; from += kFewRows) {
        const int64_t end = std::min(from + kFewRows, first + count);
        timesFactors(values + from * width, allFactors + from * width, jittered, end - from, width, whole);
        for (int64_t r = from; r < end; r += kTogether) {
          const int64_t n = std::min(kTogether, end - r);
          multiplyFew(in + r * outputs, outputs, padded.data(), outputs, whole, n, few);
          for (int64_t i = 0; i < n; ++i) {
            const float* const of = allFactors + (r + i) * width;
            T* const to = out + (r + i) * width;
#pragma omp simd
            for (int64_t c = 0; c < width; ++c) fromFloat(few[i * whole + c] * of[c], to[c]);
          }
        }
        const float* const d = in + from * outputs;
        int64_t o = 0;
        for (; o + kTogether <= outputs; o += kTogether) addOuter<kTogether>(d + o, outputs, jittered, end - from, whole, own + o * whole);
        for (; o < outputs; ++o) addOuter<1>(d + o, outputs, jittered, end - from, whole, own + o * whole);
      }
    });
  });
  for (int64_t o = 0; o < outputs; ++o) {
    float* const to = dWeight.mutable_data_ptr<float>() + o * width;
    std::fill_n(to, width, 0.0f);
    for (int64_t task = 0; task < tasks; ++task) {
      const float* const of = sums.data() + (task * outputs + o) * whole;
      for (int64_t c = 0; c < width; ++c) to[c] += of[c];
    }
  }
  c.result(dx);
  c.result(dWeight);
}

const Operations ops = {
    {"TorchJitteredLinear(x: float[N, D], weight: float[O, D], step: int32[1]; a: number, b: number, key: ints[2] in [0, 4294967295]) -> "
     "y: float32[N, O], factors: float32[N, D] where D >= 1, O >= 1",
     jitteredLinear},
    {"TorchJitteredLinearGrad(dy: float[N, O], x: float[N, D], weight: float[O, D], factors: float32[N, D]) -> dx: x.dtype[N, D], "
     "dWeight: float32[O, D] where D >= 1, O >= 1",
     jitteredLinearGrad},
};

}  // namespace

}  // namespace tfjs_torch
