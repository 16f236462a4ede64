#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tfjs_torch {

// Sets of dtypes as signatures name them: a bit for each dtype that a tensor of this backend can have.
enum DTypeBit : uint8_t { kFloat32Bit = 1, kBfloat16Bit = 2, kInt32Bit = 4, kBoolBit = 8, kComplex64Bit = 16 };

inline constexpr std::pair<const char*, uint8_t> kDTypeSets[] = {
    {"float32", kFloat32Bit},
    {"bfloat16", kBfloat16Bit},
    {"int32", kInt32Bit},
    {"bool", kBoolBit},
    {"complex64", kComplex64Bit},
    {"float", kFloat32Bit | kBfloat16Bit},
    {"whole", kInt32Bit | kBoolBit},
    {"real", kFloat32Bit | kBfloat16Bit | kInt32Bit | kBoolBit},
    {"any", kFloat32Bit | kBfloat16Bit | kInt32Bit | kBoolBit | kComplex64Bit},
};

inline std::optional<uint8_t> dtypesNamed(std::string_view name) {
  for (const auto& [known, bits] : kDTypeSets) {
    if (name == known) return bits;
  }
  return std::nullopt;
}

// The single dtypes of a set.
inline std::vector<std::string> dtypeNames(uint8_t bits) {
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    if (bits & kDTypeSets[i].second) names.emplace_back(kDTypeSets[i].first);
  }
  return names;
}

}  // namespace tfjs_torch
