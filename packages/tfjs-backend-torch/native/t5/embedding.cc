// Rows of a table by id, their gradient, and the residual stream that starts with them.
#include "cpu/simd.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/registry.h"
#include "t5/dropout.h"

namespace tfjs_torch {
namespace {

// table [V, D], ids int32; bfloat16 result -> [...ids, D]
void embedding(Call& c) {
  const at::Tensor &table = c.x(0), &ids = c.x(1);
  const at::Tensor rows = at::index_select(table, 0, ids.reshape({-1}));
  Dims shape(ids.sizes().begin(), ids.sizes().end());
  shape.push_back(table.size(1));
  c.result(rows.to(c.flag() ? at::kBFloat16 : at::kFloat).reshape(shape));
}

// dy [...ids, D], ids; V -> the table's gradient in float32. Rows are added in the order of the ids, whatever the threads.
void embeddingGrad(Call& c) {
  const at::Tensor dy = c.x(0).contiguous();
  const at::Tensor ids = c.x(1).contiguous();
  const int64_t rows = c.integer(), d = dy.size(-1), count = ids.numel();
  // Not index_add, which adds by atomics: other bits with every call.
  if (onCuda(dy)) return c.result(at::embedding_dense_backward(dy.reshape({-1, d}).to(at::kFloat), ids.reshape({-1}), rows, -1, false));
  at::Tensor table = at::zeros({rows, d}, c.options(at::kFloat));
  const int32_t* const id = ids.const_data_ptr<int32_t>();
  float* const to = table.mutable_data_ptr<float>();
  withType(dy, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    const T* const from = dy.const_data_ptr<T>();
    parallelSimd(d, 64, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
      for (int64_t n = 0; n < count; ++n) {
        float* const row = to + id[n] * d;
        const T* const add = from + n * d;
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) row[i] += toFloat(add[i]);
      }
    });
  });
  c.result(table);
}

// x + y times its factors.
template <typename X, typename Y>
void addRows(const X* x, const Y* y, X* out, int64_t n, const DropoutRows& entries) {
#ifdef TFJS_TORCH_BF16_VECTORS
  if constexpr (std::is_same_v<X, float> && std::is_same_v<Y, c10::BFloat16>) {
    constexpr int64_t size = 32;
    if (vectors::available() && n % size == 0 && vectors::isAligned(out)) {
      return at::parallel_for(0, n / size, 16384 / size, [=](int64_t begin, int64_t end) {
        entries.forPieces(begin * size, (end - begin) * size, [=](int64_t first, int64_t last, const Kept& kept) {
          const int64_t at = begin * size + first;
          vectors::add(x + at, y + at, out + at, last - first, kept.bits, kept.scale);
        });
      });
    }
  }
#endif
  parallelSimd(n, 16384, [=](int64_t begin, int64_t end) TFJS_TORCH_INLINE_LAMBDA {
    entries.forPieces(begin, end - begin, [=](int64_t first, int64_t last, const Kept& kept) TFJS_TORCH_INLINE_LAMBDA {
      const int64_t at = begin + first;
      if (kept.bits == nullptr) {
#pragma omp simd
        for (int64_t i = at; i < begin + last; ++i) fromFloat(toFloat(x[i]) + toFloat(y[i]), out[i]);
        return;
      }
      float dropped[DropoutRows::kPiece];
      timesKept(kept, y + at, dropped, last - first);
#pragma omp simd
      for (int64_t i = 0; i < last - first; ++i) fromFloat(toFloat(x[at + i]) + dropped[i], out[at + i]);
    });
  });
}

// x + y in x's width; with a step entries of y are dropped.
void residual(Call& c) {
  const at::Tensor x = c.x(0).contiguous();
  const at::Tensor y = c.x(1).contiguous();
  const Dropout dropout = readDropout(c, c.x(2));
  if (onCuda(x)) return c.result((x + dropped(y, dropout)).to(x.scalar_type()));
  const DropoutRows entries(dropout);
  at::Tensor out = at::empty_like(x);
  withType(x, [&](auto* inFloat) {
    withType(y, [&](auto* other) {
      using X = std::remove_pointer_t<decltype(inFloat)>;
      using Y = std::remove_pointer_t<decltype(other)>;
      addRows(x.const_data_ptr<X>(), y.const_data_ptr<Y>(), out.mutable_data_ptr<X>(), x.numel(), entries);
    });
  });
  c.result(out);
}

const Operations ops = {
    {"TorchEmbedding(table: float[V, D], ids: int32[...I] in [0, V); precision: {float32, bfloat16}) -> y: float[...I, D]", embedding},
    {"TorchEmbeddingGrad(dy: float[...I, D], ids: int32[...I] in [0, rows); rows: int >= 0) -> dTable: float32[rows, D]", embeddingGrad},
    {"TorchResidual(x: float[...S], y: float[...S], step?: int32[1]; rate: number, scale: number, key: ints[2] in [0, 4294967295]) -> z: "
     "x.dtype[...S]",
     residual},
};

}  // namespace

}  // namespace tfjs_torch
