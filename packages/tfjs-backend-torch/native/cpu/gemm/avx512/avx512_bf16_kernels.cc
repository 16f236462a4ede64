// Products and attention's heads by AVX512-BF16 (vdpbf16ps).
#include "cpu/gemm/avx512/microkernel.h"
#include "cpu/gemm/packed/attention_heads.h"
#include "cpu/gemm/packed/cross_entropy.h"
#include "cpu/gemm/packed/gemm.h"
#include "cpu/simd.h"

namespace tfjs_torch::packed {

const Kernels<c10::BFloat16>* avx512Bf16Kernels() {
#ifdef TFJS_TORCH_PACKED
  using U = Avx512<c10::BFloat16>;
  static const Kernels<c10::BFloat16> kernels = {multiply<U>, Heads<U>::attend, Heads<U>::attendGrad, crossEntropy<U>};
  if (vectors::available()) return &kernels;
#endif
  return nullptr;
}

}  // namespace tfjs_torch::packed
