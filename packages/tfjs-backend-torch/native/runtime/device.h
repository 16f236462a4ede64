#pragma once

// Which path an operation takes, and the stream its kernels go to.

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <string_view>

#if defined(TFJS_TORCH_CUDA) && !defined(TFJS_TORCH_EMULATED_CUDA)
#include <c10/cuda/CUDAStream.h>
#endif

namespace tfjs_torch {

// Whether x's operations take the path for CUDA. In the emulated build (test/emulatedCuda.test.ts) all do, on the CPU's memory: it
// holds the path's ATen calls, shapes, dtypes and kernels to the references where there is no GPU.
inline bool onCuda(const at::Tensor& x) {
#ifdef TFJS_TORCH_EMULATED_CUDA
  return x.defined();
#else
  return x.is_cuda();
#endif
}

// Whether there are kernels of native/cuda/*.cu to call: this build has them, and TFJS_TORCH_CUDA_KERNELS is not "aten", which leaves
// all work to ATen's operations, for comparisons.
inline bool hasCudaKernels() {
#ifdef TFJS_TORCH_CUDA
  static const bool isWanted = [] {
    const char* const value = std::getenv("TFJS_TORCH_CUDA_KERNELS");
    return value == nullptr || std::string_view(value) != "aten";
  }();
  return isWanted;
#else
  return false;
#endif
}

#ifdef TFJS_TORCH_EMULATED_CUDA
inline void* currentStream(const at::Tensor&) { return nullptr; }
#elif defined(TFJS_TORCH_CUDA)
inline c10::cuda::CUDAStream currentStream(const at::Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.device().index()); }
#endif

}  // namespace tfjs_torch
