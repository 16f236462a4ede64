#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tfjs_torch {

// Ways to multiply matrices by name: "library", "float32", "fp16", "amx" and "avx512" for bfloat16, "library" and "avx512" for float32.
// TFJS_TORCH_GEMM asks for some: TFJS_TORCH_GEMM=bfloat16:avx512,float32:library. What this CPU lacks is not taken.

enum class GemmType { kBf16, kFloat32 };

// Those that this build has for this CPU.
std::vector<std::string> gemmNames(GemmType type);

// The one in use.
std::string gemmName(GemmType type);

// Takes one, unless TFJS_TORCH_GEMM says another. An unknown name throws.
void setGemm(GemmType type, const std::string& name);

// GFLOP/s of each in one thread, by name: products of a model's layers, forward and backward, a tenth of a second or two each.
std::vector<std::pair<std::string, double>> measureGemm(GemmType type);

}  // namespace tfjs_torch
