#include "cpu/gemm/choice.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "cpu/cpu_features.h"
#include "cpu/gemm/fp16/fp16_gemm.h"
#include "cpu/gemm/matmul.h"
#include "cpu/gemm/packed/packed_gemm.h"

namespace tfjs_torch {
namespace {

constexpr const char* kBf16Names[] = {"library", "float32", "fp16", "amx", "avx512"};
constexpr const char* kFloat32Names[] = {"library", "avx512"};

bool isAvailable(Bf16Gemm which) {
  switch (which) {
    case Bf16Gemm::kFp16: return half::isAvailable();
    case Bf16Gemm::kAmx: return packed::amxKernels() != nullptr;
    case Bf16Gemm::kAvx512: return packed::avx512Bf16Kernels() != nullptr;
    default: return true;
  }
}
bool isAvailable(Float32Gemm which) { return which == Float32Gemm::kLibrary || packed::avx512Float32Kernels() != nullptr; }

// What TFJS_TORCH_GEMM says of a type, or nothing.
std::string_view wanted(std::string_view type) {
  const char* const setting = std::getenv("TFJS_TORCH_GEMM");
  std::string_view all = setting == nullptr ? "" : setting;
  while (!all.empty()) {
    const std::string_view one = all.substr(0, all.find(','));
    if (one.size() > type.size() && one.substr(0, type.size()) == type && one[type.size()] == ':') return one.substr(type.size() + 1);
    all.remove_prefix(std::min(one.size() + 1, all.size()));
  }
  return {};
}

template <typename Which, size_t count>
bool find(const char* const (&names)[count], std::string_view name, Which& to) {
  const auto* const at = std::find(std::begin(names), std::end(names), name);
  if (at == std::end(names)) return false;
  to = static_cast<Which>(at - std::begin(names));
  return isAvailable(to);
}

// Without a measurement. On Intel AVX512-BF16 does half as many multiplications a cycle as float32, so half precision's arithmetic comes
// first there; on AMD (Zen 4, Zen 5) it does twice as many.
Bf16Gemm firstBf16() {
  Bf16Gemm which;
  if (find(kBf16Names, wanted("bfloat16"), which)) return which;
  if (isAvailable(Bf16Gemm::kAmx)) return Bf16Gemm::kAmx;
  if (isAvailable(Bf16Gemm::kFp16)) return Bf16Gemm::kFp16;
  if (isAvailable(Bf16Gemm::kAvx512) && cpuFeatures().isAmd) return Bf16Gemm::kAvx512;
  return cpuFeatures().matrixUnits ? Bf16Gemm::kLibrary : Bf16Gemm::kFloat32;
}
// libtorch's BLAS, MKL, runs at 40 % of what AMD's CPUs can do.
Float32Gemm firstFloat32() {
  Float32Gemm which;
  if (find(kFloat32Names, wanted("float32"), which)) return which;
  return isAvailable(Float32Gemm::kAvx512) && cpuFeatures().isAmd ? Float32Gemm::kAvx512 : Float32Gemm::kLibrary;
}

std::atomic<Bf16Gemm>& chosenBf16() {
  static std::atomic<Bf16Gemm> chosen{firstBf16()};
  return chosen;
}
std::atomic<Float32Gemm>& chosenFloat32() {
  static std::atomic<Float32Gemm> chosen{firstFloat32()};
  return chosen;
}

// This thread's own: other processes that take turns with it do not count.
double processorSeconds() {
#if defined(__linux__)
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#else
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
#endif
}

// [m, k] by [k, n] as y = x·Wᵀ, dx = dy·W and dW = dyᵀ·x have them.
struct MeasuredProducts {
  at::Tensor x, w, dy;
  double operations;

  MeasuredProducts(int64_t m, int64_t k, int64_t n, const at::TensorOptions& options)
      : x(at::full({m, k}, 0.01, options)),
        w(at::full({n, k}, 0.01, options)),
        dy(at::full({m, n}, 0.01, options)),
        operations(6.0 * static_cast<double>(m * k * n)) {}

  double seconds() const {
    const double started = processorSeconds();
    product(x, w.t());
    product(dy, w);
    product(dy.t(), x);
    return processorSeconds() - started;
  }
};

// Each way's best of some rounds, in which all have their turn: a host is busier at one moment than at the next.
template <typename Which, size_t count>
std::vector<std::pair<std::string, double>> measure(const char* const (&names)[count], std::atomic<Which>& chosen, at::ScalarType type) {
  constexpr int kRounds = 6;
  const auto options = at::TensorOptions().dtype(type);
  // Of a layer of mT5-Small's and of a small model's.
  const MeasuredProducts shapes[] = {{1024, 512, 1024, options}, {2048, 64, 128, options}};
  const Which before = chosen;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  double best[count][std::size(shapes)];
  for (auto& of : best) std::fill(std::begin(of), std::end(of), 1e9);
  for (int round = 0; round < kRounds; ++round) {
    for (size_t s = 0; s < std::size(shapes); ++s) {
      for (size_t i = 0; i < count; ++i) {
        if (!isAvailable(static_cast<Which>(i))) continue;
        chosen = static_cast<Which>(i);
        best[i][s] = std::min(best[i][s], shapes[s].seconds());
      }
    }
  }
  chosen = before;
  at::set_num_threads(threads);
  std::vector<std::pair<std::string, double>> rates;
  for (size_t i = 0; i < count; ++i) {
    if (!isAvailable(static_cast<Which>(i))) continue;
    double rate = 0;
    for (size_t s = 0; s < std::size(shapes); ++s) rate += shapes[s].operations / best[i][s] / 1e9 / std::size(shapes);
    rates.emplace_back(names[i], rate);
  }
  return rates;
}

}  // namespace

Bf16Gemm bf16Gemm() { return chosenBf16().load(std::memory_order_relaxed); }
Float32Gemm float32Gemm() { return chosenFloat32().load(std::memory_order_relaxed); }

template <>
const packed::Kernels<c10::BFloat16>* packedKernels() {
  switch (bf16Gemm()) {
    case Bf16Gemm::kAmx: return packed::amxKernels();
    case Bf16Gemm::kAvx512: return packed::avx512Bf16Kernels();
    default: return nullptr;
  }
}
template <>
const packed::Kernels<float>* packedKernels() {
  return float32Gemm() == Float32Gemm::kAvx512 ? packed::avx512Float32Kernels() : nullptr;
}

std::vector<std::string> gemmNames(GemmType type) {
  std::vector<std::string> names;
  const auto add = [&](const auto& all, auto which) {
    for (size_t i = 0; i < std::size(all); ++i) {
      if (isAvailable(static_cast<decltype(which)>(i))) names.emplace_back(all[i]);
    }
  };
  if (type == GemmType::kBf16)
    add(kBf16Names, Bf16Gemm{});
  else
    add(kFloat32Names, Float32Gemm{});
  return names;
}

std::string gemmName(GemmType type) {
  return type == GemmType::kBf16 ? kBf16Names[static_cast<int>(bf16Gemm())] : kFloat32Names[static_cast<int>(float32Gemm())];
}

void setGemm(GemmType type, const std::string& name) {
  const auto set = [&](const auto& names, auto& chosen, std::string_view asked) {
    auto which = chosen.load();
    if (find(names, asked, which)) return;  // TFJS_TORCH_GEMM stands
    TORCH_CHECK(find(names, name, which), "no matrix products by ", name, " here");
    chosen = which;
  };
  if (type == GemmType::kBf16)
    set(kBf16Names, chosenBf16(), wanted("bfloat16"));
  else
    set(kFloat32Names, chosenFloat32(), wanted("float32"));
}

std::vector<std::pair<std::string, double>> measureGemm(GemmType type) {
  return type == GemmType::kBf16 ? measure(kBf16Names, chosenBf16(), at::kBFloat16) : measure(kFloat32Names, chosenFloat32(), at::kFloat);
}

}  // namespace tfjs_torch
