// Products and attention's heads by a CPU's matrix units (AMX-BF16).
#include "cpu/cpu_features.h"
#include "cpu/gemm/packed/packed_gemm.h"

#include "cpu/gemm/amx/tiles.h"
#include "cpu/gemm/packed/attention_heads.h"
#include "cpu/gemm/packed/gemm.h"

#ifdef TFJS_TORCH_PACKED

#include <sys/syscall.h>
#include <unistd.h>

namespace tfjs_torch::packed {
namespace {

// Eight tiles of 16 rows by 64 bytes.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
const TileConfiguration kEightTiles;

thread_local int tilesInUse = 0;

TFJS_TORCH_TARGET_PACKED void takeTiles(uint8_t* before) {
  _tile_storeconfig(before);
  _tile_loadconfig(&kEightTiles);
}

TFJS_TORCH_TARGET_PACKED void giveTilesBack(const uint8_t* before) {
  if (before[0] == 0)
    _tile_release();
  else
    _tile_loadconfig(before);
}

}  // namespace

Tiles::Tiles() {
  if (tilesInUse++ == 0) takeTiles(before_);
}

Tiles::~Tiles() {
  if (--tilesInUse == 0) giveTilesBack(before_);
}

const Kernels<BFloat16>* amxKernels() {
  static const bool isAvailable = [] {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // Linux, arch/x86/include/uapi/asm/prctl.h
    return cpuFeatures().matrixUnits && vectors::available() && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  // Not measured with AMX: the output layer in three products.
  static const Kernels<BFloat16> kernels = {multiply<AmxBf16>, Heads<AmxBf16>::attend, Heads<AmxBf16>::attendGrad, nullptr};
  return isAvailable ? &kernels : nullptr;
}

}  // namespace tfjs_torch::packed

#else

namespace tfjs_torch::packed {
const Kernels<c10::BFloat16>* amxKernels() { return nullptr; }
}  // namespace tfjs_torch::packed

#endif
