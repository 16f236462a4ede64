#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#ifdef TFJS_TORCH_EMULATED_CUDA
#include <typeinfo>
#endif

// Launches and runtime calls of *.cu. Nothing else there may launch a kernel or drop an error of CUDA's runtime.
namespace tfjs_torch::cuda {

// What a block may ask for without cudaFuncSetAttribute, on every device.
constexpr int64_t kDynamicSharedBytes = 48 << 10;

// Throws where a call of CUDA's runtime failed. The error is taken off the runtime: the next check does not report it again.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(status));
}

#ifdef TFJS_TORCH_EMULATED_CUDA
// Adds a line to the file that TFJS_TORCH_ENTERED names, once: what has been entered, for test/emulatedCuda.test.ts.
void noteEntered(const std::string& what);
#endif

// Runs `kernel` with `blocks` blocks of `threads` threads on a stream. An empty grid, which CUDA refuses, is no work.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), int64_t blocks, int threads, int64_t sharedBytes, cudaStream_t stream,
            Arguments... arguments) {
  if (blocks == 0) return;
#ifdef TFJS_TORCH_EMULATED_CUDA
  noteEntered(std::string(name) + " " + typeid(kernel).name());
#endif
  if (blocks < 0 || blocks > std::numeric_limits<int32_t>::max() || sharedBytes > kDynamicSharedBytes) {
    throw std::runtime_error(std::string("CUDA: ") + name + ": cannot launch " + std::to_string(blocks) + " blocks with " +
                             std::to_string(sharedBytes) + " bytes of shared memory");
  }
  cudaLaunchConfig_t config{};
  config.gridDim.x = static_cast<unsigned>(blocks);
  config.blockDim.x = static_cast<unsigned>(threads);
  config.dynamicSmemBytes = static_cast<size_t>(sharedBytes);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

}  // namespace tfjs_torch::cuda
