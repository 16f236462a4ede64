// CPU memory. A training step frees and takes the same gigabytes again and again. Given back to the system each time, as glibc
// does with large blocks, every page of them is faulted in and cleared anew, which costs more than the arithmetic on them.
#include "runtime/allocator.h"

// Under the address sanitizer all memory is malloc's, which it watches.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

namespace tfjs_torch {
namespace {

constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;

size_t roundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Ranges of memory of the system's, in huge pages: in use, or free and kept. Neighbours that are free are one range.
class Ranges {
 public:
  // At least n bytes, or nullptr if the system has no more.
  void* take(size_t n) {
    const size_t bytes = roundUp(n, kPage);
    const std::lock_guard<std::mutex> lock(mutex_);
    auto best = bestFit(bytes);
    if (best == free_.end()) {
      // What is kept must not lift the process's peak: beyond it (and a thirty-second), new memory comes in place of kept memory.
      const size_t peak = std::max(peak_, inUse_ + bytes), fresh = roundUp(bytes, kHugePage);
      giveBack(fresh, peak + peak / 32);
      if (!map(fresh)) {
        giveBack(fresh, 0);
        if (!map(fresh)) return nullptr;
      }
      best = bestFit(bytes);
    }
    const auto [start, length] = *best;
    free_.erase(best);
    if (length > bytes) free_.emplace(start + bytes, length - bytes);
    used_.emplace(start, bytes);
    inUse_ += bytes;
    peak_ = std::max(peak_, inUse_);
    return reinterpret_cast<void*>(start);
  }

  // Whether the block was one of these.
  bool release(void* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = used_.find(reinterpret_cast<uintptr_t>(block));
    if (found == used_.end()) return false;
    const auto [start, bytes] = *found;
    used_.erase(found);
    inUse_ -= bytes;
    keep(start, bytes);
    return true;
  }

 private:
  using Free = std::map<uintptr_t, size_t>;

  Free::iterator bestFit(size_t bytes) {
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->second >= bytes && (best == free_.end() || at->second < best->second)) best = at;
    }
    return best;
  }

  void keep(uintptr_t start, size_t bytes) {
    const auto next = free_.lower_bound(start);
    if (next != free_.begin()) {
      const auto previous = std::prev(next);
      if (previous->first + previous->second == start) {
        start = previous->first;
        bytes += previous->second;
        free_.erase(previous);
      }
    }
    if (next != free_.end() && start + bytes == next->first) {
      bytes += next->second;
      free_.erase(next);
    }
    free_.emplace(start, bytes);
  }

  // Maps `fresh` bytes, aligned to huge pages, next to what is there if the place is free.
  bool map(size_t fresh) {
    const auto reserve = [](uintptr_t where, size_t bytes) {
      void* const at = mmap(reinterpret_cast<void*>(where), bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return at == MAP_FAILED ? 0 : reinterpret_cast<uintptr_t>(at);
    };
    uintptr_t start = reserve(lowest_ == 0 ? 0 : lowest_ - fresh, fresh);
    if (start % kHugePage != 0) {
      munmap(reinterpret_cast<void*>(start), fresh);
      const uintptr_t wide = reserve(0, fresh + kHugePage);
      if (wide == 0) return false;
      start = roundUp(wide, kHugePage);
      if (start > wide) munmap(reinterpret_cast<void*>(wide), start - wide);
      munmap(reinterpret_cast<void*>(start + fresh), wide + kHugePage - start);
    }
    if (start == 0) return false;
    madvise(reinterpret_cast<void*>(start), fresh, MADV_HUGEPAGE);
    lowest_ = start;
    mapped_ += fresh;
    keep(start, fresh);
    return true;
  }

  // Returns free huge pages to the system, from the largest ranges on, until `fresh` more bytes stay within the limit.
  void giveBack(size_t fresh, size_t limit) {
    while (mapped_ + fresh > limit) {
      uintptr_t start = 0;
      size_t most = 0;
      for (const auto& [at, bytes] : free_) {
        const uintptr_t from = roundUp(at, kHugePage), to = (at + bytes) / kHugePage * kHugePage;
        if (to > from && to - from > most) start = from, most = to - from;
      }
      if (most == 0) return;
      const size_t bytes = std::min(most, roundUp(mapped_ + fresh - limit, kHugePage));
      if (munmap(reinterpret_cast<void*>(start), bytes) != 0) return;
      mapped_ -= bytes;
      const auto range = std::prev(free_.upper_bound(start));
      const auto [from, length] = *range;
      free_.erase(range);
      if (start > from) free_.emplace(from, start - from);
      if (from + length > start + bytes) free_.emplace(start + bytes, from + length - start - bytes);
    }
  }

  std::mutex mutex_;
  Free free_;
  std::unordered_map<uintptr_t, size_t> used_;
  size_t mapped_ = 0, inUse_ = 0, peak_ = 0;
  uintptr_t lowest_ = 0;
};

// Never destroyed: tensors are freed by threads that end after main().
Ranges& ranges() {
  static Ranges* const all = new Ranges();
  return *all;
}

c10::Allocator* const byDefault = c10::GetDefaultCPUAllocator();

void release(void* block) {
  // Blocks of these ranges start on pages; most others do not.
  if (reinterpret_cast<uintptr_t>(block) % kPage == 0 && block != nullptr && ranges().release(block)) return;
  byDefault->raw_deallocate(block);
}

class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    void* block = n < kLarge ? nullptr : ranges().take(n);
    if (block == nullptr) block = byDefault->raw_allocate(n);  // which also says so if there is no memory
    return {block, block, &release, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
};

}  // namespace

void keepFreedMemory() {
  static const bool once = [] {
    c10::SetCPUAllocator(new CpuAllocator());
    return true;
  }();
  (void)once;
}

}  // namespace tfjs_torch

#else

namespace tfjs_torch {
void keepFreedMemory() {}
}  // namespace tfjs_torch

#endif
