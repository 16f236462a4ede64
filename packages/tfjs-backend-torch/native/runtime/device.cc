#include "runtime/device.h"

#include <cstdlib>
#include <string_view>

namespace tfjs_torch {

std::atomic<bool>& usesAten() {
  static std::atomic<bool> uses = [] {
    const char* const value = std::getenv("TFJS_TORCH_KERNELS");
    return value != nullptr && std::string_view(value) == "aten";
  }();
  return uses;
}

}  // namespace tfjs_torch
