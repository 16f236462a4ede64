#pragma once

// Which path an operation takes, and the stream its kernels go to.

#include <ATen/core/Tensor.h>

#include <atomic>

#if defined(TFJS_TORCH_CUDA) && !defined(TFJS_TORCH_EMULATED_CUDA)
#include <c10/cuda/CUDAStream.h>
#endif

namespace tfjs_torch {

// Whether fused operations are computed by ATen's operations alone, on every device: the reference that kernels are held to. Set by
// TFJS_TORCH_KERNELS=aten, and by tests through useAten (runtime/binding.cc).
std::atomic<bool>& usesAten();

// Whether the CPU's tensors take the path for CUDA too: with usesAten(), and in the emulated build, which notes where it was asked.
bool takesCudaPath(const char* file, int line);

// Whether x's operations take the path for CUDA, which is written in ATen's operations and has kernels for some. The same in every
// build, so that the emulated one (test/emulatedCuda.test.ts) shares objects with that for the CPU.
inline bool onCuda(const at::Tensor& x, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return x.is_cuda() || (x.defined() && takesCudaPath(file, line));
}

// Whether there are kernels of native/cuda/*.cu to call, and they are wanted.
inline bool hasCudaKernels() {
#ifdef TFJS_TORCH_CUDA
  return !usesAten();
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
