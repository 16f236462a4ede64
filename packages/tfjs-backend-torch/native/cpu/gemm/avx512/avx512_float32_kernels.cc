// Products and attention's heads by AVX-512 in float32.
#include "cpu/gemm/avx512/microkernel.h"
#include "cpu/gemm/packed/attention_heads.h"
#include "cpu/gemm/packed/cross_entropy.h"
#include "cpu/gemm/packed/gemm.h"
#include "cpu/simd.h"

namespace tfjs_torch::packed {

const Kernels<float>* avx512Float32Kernels() {
#ifdef TFJS_TORCH_PACKED
  using U = Avx512<float>;
  static const Kernels<float> kernels = {multiply<U>, Heads<U>::attend, Heads<U>::attendGrad, crossEntropy<U>};
  if (simdLevel() == 4) return &kernels;
#endif
  return nullptr;
}

}  // namespace tfjs_torch::packed
