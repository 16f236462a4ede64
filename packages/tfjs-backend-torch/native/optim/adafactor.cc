// Adafactor over all parameters in one call, in place. A matrix is one thread's work, from the first pass over it to the last,
// so that value and gradient come from memory once and from its cache thereafter; a large one that stands alone is worked on by
// all threads in blocks of rows.
#include <ATen/Parallel.h>

#include <atomic>
#include <numeric>

#include "cpu/simd.h"
#include "moe/moe.h"
#include "optim/adafactor_cpu.h"
#include "optim/parameters.h"
#include "runtime/call.h"
#include "runtime/device.h"
#include "runtime/graph.h"
#include "runtime/registry.h"
#ifdef TFJS_TORCH_CUDA
#include "cuda/kernels.h"
#endif

namespace tfjs_torch {
namespace {

constexpr int64_t kLargeMatrix = 1 << 20;
// Fixed, so that sums come out alike with any number of threads.
constexpr int64_t kBlocksOfLarge = 64;

#ifdef TFJS_TORCH_CUDA
// All matrices in a few launches.
void updateByKernels(const std::vector<AdafactorParameter>& parameters, const at::Tensor& rates, const at::Tensor& guard) {
  std::vector<cuda::AdafactorMatrix> matrices;
  std::vector<at::Tensor> gradients;  // keeps contiguous copies alive
  int64_t rows = 0, tiles = 0;
  for (const AdafactorParameter& p : parameters) {
    gradients.push_back(p.gradient.contiguous());
    const bool isBfloat16 = p.gradient.scalar_type() == at::kBFloat16, factored = p.second.defined();
    const auto* const g = static_cast<const char*>(gradients.back().const_data_ptr());
    for (int64_t s = 0; s < p.stack; ++s) {
      const int64_t at = s * p.rows * p.columns;
      if (p.rows * p.columns == 0) continue;
      matrices.push_back({p.value.mutable_data_ptr<float>() + at, g + at * p.gradient.element_size(),
                          p.first.mutable_data_ptr<float>() + (factored ? s * p.rows : at),
                          factored ? p.second.mutable_data_ptr<float>() + s * p.columns : nullptr, p.rows, p.columns, rows, tiles,
                          isBfloat16});
      rows += p.rows;
      if (factored) tiles += cuda::adafactorTiles(p.rows, p.columns);
    }
  }
  const auto count = static_cast<int64_t>(matrices.size());
  if (count == 0) return;
  const auto bytes = static_cast<int64_t>(count * sizeof(cuda::AdafactorMatrix));
  const at::Tensor table = toDevice(at::from_blob(matrices.data(), {bytes}, at::kByte), rates.device());
  const at::Tensor values = at::empty({rows}, rates.options()), updates = at::empty({rows}, rates.options());
  const at::Tensor means = at::empty({count}, rates.options()), steps = at::empty({count}, rates.options());
  const at::Tensor columns = at::empty({tiles, 32}, rates.options());
  cuda::adafactorStep({static_cast<const cuda::AdafactorMatrix*>(table.const_data_ptr()), count, rows, tiles, rates.const_data_ptr<float>(),
                       guard.const_data_ptr<float>(), guard.numel(), values.mutable_data_ptr<float>(), updates.mutable_data_ptr<float>(),
                       means.mutable_data_ptr<float>(), columns.mutable_data_ptr<float>(), steps.mutable_data_ptr<float>()},
                      currentStream(rates));
}
#endif

void updateByAten(const AdafactorParameter& p, const at::Tensor& rates, const at::Tensor& guard) {
  const Dims shape = {p.stack, p.rows, p.columns};
  const at::Tensor learningRate = rates.select(0, 0), beta = rates.select(0, 1), isFinite = at::isfinite(guard).all();
  at::Tensor value = p.value.view(shape), first = p.first.view(p.second.defined() ? Dims{p.stack, p.rows} : shape);
  const at::Tensor g = at::mul(p.gradient.to(at::kFloat).reshape(shape), rates.select(0, 2));
  const at::Tensor g2 = at::add(at::square(g), kEpsilonGradient);
  const auto average = [&](at::Tensor moment, const at::Tensor& latest) {
    const at::Tensor next = at::add(at::mul(moment, beta), at::mul(latest, at::rsub(beta, 1)));
    moment.copy_(at::where(isFinite, next, moment));
  };
  at::Tensor u;
  if (!p.second.defined()) {
    average(first, g2);
    u = at::mul(g, at::rsqrt(first));
  } else {
    const at::Tensor second = p.second.view({p.stack, p.columns});
    average(first, g2.mean(2));
    average(second, g2.mean(1));
    const at::Tensor rows = at::rsqrt(at::div(first, first.mean(1, true)));
    u = at::mul(at::mul(g, rows.unsqueeze(2)), at::rsqrt(second).unsqueeze(1));
  }
  const auto rms = [](const at::Tensor& x) { return at::sqrt(at::square(x).mean({1, 2}, true)); };
  const at::Tensor clip = rms(u).div(kClippingThreshold).clamp_min(1);
  const at::Tensor rate = at::mul(rms(value).clamp_min(kEpsilonParameter), learningRate);
  value.copy_(at::where(isFinite, at::sub(value, at::mul(u, at::div(rate, clip))), value));
  setSquareSums(p.value, nullptr);
}

}  // namespace

void adafactor(const std::vector<AdafactorParameter>& parameters, const at::Tensor& ratesTensor, const at::Tensor& guard) {
#ifdef TFJS_TORCH_CUDA
  if (onCuda(ratesTensor) && hasCudaKernels()) return updateByKernels(parameters, ratesTensor, guard);
#endif
  if (onCuda(ratesTensor)) {
    for (const AdafactorParameter& p : parameters) updateByAten(p, ratesTensor, guard);
    return;
  }
  if (!at::isfinite(guard).all().item<bool>()) return;
  const float* const both = ratesTensor.const_data_ptr<float>();
  const AdafactorRates rates{both[0], both[1], both[2]};
  std::vector<AdafactorMatrix> small;
  std::vector<at::Tensor> gradients;  // keeps contiguous copies alive
  for (const AdafactorParameter& p : parameters) {
    gradients.push_back(p.gradient.contiguous());
    const bool isBfloat16 = p.gradient.scalar_type() == at::kBFloat16, factored = p.second.defined();
    const auto* const g = static_cast<const char*>(gradients.back().const_data_ptr());
    if (squareSums(p.value) == nullptr) {
      auto unknown = c10::make_intrusive<SquareSums>();
      unknown->total.resize(p.stack, -1);
      setSquareSums(p.value, std::move(unknown));
    }
    SquareSums& values = *squareSums(p.value);
    const SquareSums* const known = squareSums(p.gradient);
    for (int64_t s = 0; s < p.stack; ++s) {
      const int64_t at = s * p.rows * p.columns;
      const bool isKnown = known != nullptr && factored && known->total[s] >= 0;
      const AdafactorMatrix m{p.value.mutable_data_ptr<float>() + at,
                              g + at * p.gradient.element_size(),
                              isBfloat16,
                              p.first.mutable_data_ptr<float>() + (factored ? s * p.rows : at),
                              factored ? p.second.mutable_data_ptr<float>() + s * p.columns : nullptr,
                              p.rows,
                              p.columns,
                              &values.total[s],
                              isKnown ? known->rows.data() + s * p.rows : nullptr,
                              isKnown ? known->columns.data() + s * p.columns : nullptr};
      if (p.stack == 1 && m.size() > kLargeMatrix && m.rows > kBlocksOfLarge)
        updateMatrix(m, rates, kBlocksOfLarge);
      else if (m.size() > 0)
        small.push_back(m);
    }
  }
  std::stable_sort(small.begin(), small.end(), [](const AdafactorMatrix& a, const AdafactorMatrix& b) { return a.size() > b.size(); });
  std::atomic<size_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    for (size_t i = next++; i < small.size(); i = next++) updateMatrix(small[i], rates, 1);
  });
}

at::Tensor sumOfSquares(const std::vector<at::Tensor>& tensors) {
  TORCH_CHECK(!tensors.empty(), "no tensors");
  if (onCuda(tensors[0])) {
    at::Tensor sum = at::zeros({}, tensors[0].options().dtype(at::kFloat));
    for (const at::Tensor& x : tensors) sum.add_(at::square(at::linalg_vector_norm(x, 2, {}, false, at::kFloat)));
    return sum;
  }
  // All tensors in one go: most are small, and waking the threads for each would take longer than its sum.
  struct Block {
    const at::Tensor* tensor;
    int64_t begin, end;
  };
  constexpr int64_t size = 1 << 16;
  std::vector<at::Tensor> whole;
  double known = 0;
  for (const at::Tensor& tensor : tensors) {
    const SquareSums* const sums = squareSums(tensor);
    const bool isKnown = sums != nullptr && std::all_of(sums->total.begin(), sums->total.end(), [](double x) { return x >= 0; });
    if (isKnown)
      known += std::accumulate(sums->total.begin(), sums->total.end(), 0.0);
    else
      whole.push_back(tensor.contiguous());
  }
  std::vector<Block> blocks;
  for (const at::Tensor& x : whole) {
    for (int64_t at = 0; at < x.numel(); at += size) blocks.push_back({&x, at, std::min(at + size, x.numel())});
  }
  std::vector<double> parts(blocks.size());
  at::parallel_for(0, static_cast<int64_t>(blocks.size()), 4, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const Block& block = blocks[b];
      withType(*block.tensor, [&](auto* type) {
        using T = std::remove_pointer_t<decltype(type)>;
        const T* const values = block.tensor->const_data_ptr<T>();
        const int64_t begin = block.begin, end = block.end;
        simd([&]() TFJS_TORCH_INLINE_LAMBDA { parts[b] = sumOfSquaresOf(values + begin, end - begin); });
      });
    }
  });
  const double sum = std::accumulate(parts.begin(), parts.end(), known);
  return at::scalar_tensor(sum, at::TensorOptions().dtype(at::kFloat));
}

namespace {

// Rates: learning rate, β, the gradients' scale. Moments: all of them, or those of rows and of columns.
void adafactorOp(Call& c) {
  const OptimizerCall call = optimizerCall(c);
  std::vector<AdafactorParameter> parameters;
  for (const OptimizedParameter& p : call.parameters) {
    TORCH_CHECK(p.moments.size() == 1 || p.moments.size() == 2, "layout: one or two moments expected, not ", p.moments.size());
    const bool factored = p.moments.size() == 2;
    TORCH_CHECK(p.moments[0].numel() == (factored ? p.stack * p.rows : p.value.numel()) &&
                    (!factored || p.moments[1].numel() == p.stack * p.columns),
                "parameters: a moment has another shape than the layout says");
    parameters.push_back({p.value, p.gradient, p.moments[0], factored ? p.moments[1] : at::Tensor(), p.stack, p.rows, p.columns});
  }
  adafactor(parameters, call.rates, call.guard);
}

void sumOfSquaresOp(Call& c) { c.result(sumOfSquares(c.inputs())); }

const Operations ops = {
    {"TorchAdafactor(rates: float32[3], guard: float32[...], parameters...: float[...]; layout: ints >= 0) -> nothing", adafactorOp},
    {"TorchSumOfSquares(tensors...: float[...]) -> sum: float32[]", sumOfSquaresOp},
};

}  // namespace

}  // namespace tfjs_torch
