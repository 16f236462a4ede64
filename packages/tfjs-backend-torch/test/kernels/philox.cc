// Holds the words and bits of cpu/philox_words.h, by each instruction set that this CPU has, to runtime/philox.h.
#include "cpu/philox_words.h"

#include <cstdio>
#include <vector>

using namespace tfjs_torch;

namespace {

constexpr int64_t kGroups = 5;
const PhiloxDraws draws(0x9abcdef0, 0x12345678, 4000000000u);
int failed = 0;

void check(const char* name, uint64_t first, const std::vector<uint32_t>& words, uint32_t least, const std::vector<uint64_t>& bits) {
  for (int64_t i = 0; i < kGroups * kPhiloxWords; ++i) {
    const uint32_t expected = philox(0x9abcdef0, 0x12345678, first + static_cast<uint64_t>(i / 4), 4000000000u).words[i % 4];
    const bool bit = (bits[i / 64] >> (i % 64) & 1) != 0;
    if (words[i] == expected && bit == (expected >= least)) continue;
    std::printf("FAILED %s: word %d from block %llu, bound %u\n", name, static_cast<int>(i), static_cast<unsigned long long>(first), least);
    ++failed;
    return;
  }
}

// As the addon calls them, and each instruction set's own.
template <typename Words, typename Bits>
void checkAll(const char* name, const Words& words, const Bits& bits) {
  // The second begins below 2^32 and ends above, the third's upper word is not 0.
  for (const uint64_t first : {uint64_t{0}, (uint64_t{1} << 32) - 21, (uint64_t{7} << 33) + 5}) {
    for (const uint32_t least : {0u, 429496832u, 0x80000000u, 0xffffff00u}) {
      std::vector<uint32_t> drawn(kGroups * kPhiloxWords);
      std::vector<uint64_t> kept(kGroups);
      words(draws, first, kGroups, drawn.data());
      bits(draws, first, kGroups, least, kept.data());
      check(name, first, drawn, least, kept);
    }
  }
}

}  // namespace

int main() {
  checkAll("chosen", philoxWords, philoxBits);
  checkAll("portable", portable::philoxWords, portable::philoxBits);
#ifdef TFJS_TORCH_PHILOX_VECTORS
  if (simdLevel() >= 3) checkAll("AVX2", vectors::philoxWords256, vectors::philoxBits256);
  if (simdLevel() >= 4) checkAll("AVX-512", vectors::philoxWords512, vectors::philoxBits512);
#endif
  std::printf("%d failed\n", failed);
  return failed == 0 ? 0 : 1;
}
