// Enough of CUDA to run native/cuda/*.cu on one CPU thread, in place of the toolkit's header of this name. A block's threads are
// fibers that change over only where they wait for each other; `order` chooses which warp runs ahead of the others, so that a
// missing barrier shows. Blocks run one after another.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

using std::isfinite;
using std::min;
using cudaStream_t = void*;

struct Index {
  unsigned x;
};
inline Index threadIdx, blockIdx, blockDim, gridDim;

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "invalid value"; }
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }

namespace emulated {

constexpr unsigned kWarp = 32;
constexpr size_t kStack = 64 << 10;
enum class Order { kForward, kBackward };
inline Order order = Order::kForward;

[[noreturn]] inline void fail(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::exit(1);
}

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool done = false;
  int64_t passed = 0, passedWarp = 0;  // barriers it has come to
  // What it shows its warp, in turns: one is read while the next is written.
  uint32_t shown[2] = {0, 0};
  alignas(16) char shownWide[2][32];
  int64_t exchanges = 0;
};

inline ucontext_t scheduler;
inline std::vector<Fiber> fibers;
inline std::function<void()> body;
inline std::vector<char> dynamicShared;

inline Fiber& self() { return fibers[threadIdx.x]; }

inline void yield() {
  const unsigned me = threadIdx.x;
  swapcontext(&fibers[me].context, &scheduler);
}

// Threads that have ended no longer count at a block's barrier, as on the device.
inline void waitForBlock() {
  const int64_t mine = ++self().passed;
  const auto isHere = [&](const Fiber& f) { return f.done || f.passed >= mine; };
  while (!std::all_of(fibers.begin(), fibers.end(), isHere)) yield();
}

// All 32 must come: the masks of these kernels name them all.
inline void waitForWarp() {
  const int64_t mine = ++self().passedWarp;
  const auto first = fibers.begin() + threadIdx.x / kWarp * kWarp;
  for (;;) {
    bool all = true;
    for (auto f = first; f != first + kWarp; ++f) {
      if (f->done && f->passedWarp < mine) fail("a thread ended while its warp waits for it");
      all &= f->passedWarp >= mine;
    }
    if (all) return;
    yield();
  }
}

// Shows x to the warp; the result reads what a lane shows.
template <typename T>
auto exchanged(unsigned mask, T x) {
  static_assert(sizeof(T) == sizeof(uint32_t));
  if (mask != 0xffffffffu) fail("a mask of part of a warp");
  const int64_t turn = self().exchanges++ % 2;
  std::memcpy(&self().shown[turn], &x, sizeof(T));
  waitForWarp();
  return [first = threadIdx.x / kWarp * kWarp, turn](unsigned lane) {
    T other;
    std::memcpy(&other, &fibers[first + lane].shown[turn], sizeof(T));
    return other;
  };
}

// Likewise for up to 32 bytes.
template <typename T>
auto exchangedWide(const T& x) {
  static_assert(sizeof(T) <= sizeof(Fiber::shownWide[0]));
  const int64_t turn = self().exchanges++ % 2;
  std::memcpy(self().shownWide[turn], &x, sizeof(T));
  waitForWarp();
  return [first = threadIdx.x / kWarp * kWarp, turn](int lane) {
    T other;
    std::memcpy(&other, fibers[first + lane].shownWide[turn], sizeof(T));
    return other;
  };
}

inline void runFiber() {
  body();
  self().done = true;
}

// A turn for each thread of a warp. Returns whether one came further.
inline bool runWarp(unsigned w) {
  const auto progress = [w] {
    int64_t sum = 0;
    for (unsigned t = w * kWarp; t < (w + 1) * kWarp; ++t) sum += fibers[t].passed + fibers[t].passedWarp + fibers[t].done;
    return sum;
  };
  const int64_t before = progress();
  for (unsigned i = 0; i < kWarp; ++i) {
    const unsigned t = w * kWarp + (order == Order::kBackward ? kWarp - 1 - i : i);
    if (fibers[t].done) continue;
    threadIdx.x = t;
    swapcontext(&scheduler, &fibers[t].context);
  }
  return progress() > before;
}

inline void runBlock(unsigned threads) {
  if (threads % kWarp != 0) fail("a block of parts of warps");
  fibers.resize(threads);
  for (Fiber& fiber : fibers) {
    fiber.done = false;
    fiber.passed = fiber.passedWarp = fiber.exchanges = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {fiber.stack.get(), 0, kStack};
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, runFiber, 0);
  }
  std::vector<unsigned> warps(threads / kWarp);
  std::iota(warps.begin(), warps.end(), 0u);
  if (order == Order::kBackward) std::reverse(warps.begin(), warps.end());
  while (std::any_of(fibers.begin(), fibers.end(), [](const Fiber& f) { return !f.done; })) {
    bool moved = false;
    // A warp goes as far as it can before the next has a turn: as far apart as warps can be.
    for (const unsigned w : warps) {
      while (runWarp(w)) moved = true;
    }
    if (!moved) fail("threads wait for each other for ever");
  }
}

}  // namespace emulated

struct cudaLaunchConfig_t {
  Index gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  // What a device refuses.
  if (config->gridDim.x == 0 || config->blockDim.x > 1024 || config->dynamicSmemBytes > (48 << 10)) return cudaErrorInvalidValue;
  emulated::dynamicShared.assign(config->dynamicSmemBytes, '\x7f');
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  emulated::body = [&] { kernel(arguments...); };
  for (unsigned b = 0; b < gridDim.x; ++b) {
    blockIdx.x = b;
    emulated::runBlock(blockDim.x);
  }
  return cudaSuccess;
}

inline void __syncthreads() { emulated::waitForBlock(); }
inline void __syncwarp() { emulated::waitForWarp(); }

template <typename T>
T __shfl_xor_sync(unsigned mask, T x, int offset) {
  return emulated::exchanged(mask, x)(threadIdx.x % emulated::kWarp ^ static_cast<unsigned>(offset));
}

inline unsigned __match_any_sync(unsigned mask, int x) {
  const auto shown = emulated::exchanged(mask, x);
  unsigned same = 0;
  for (unsigned lane = 0; lane < emulated::kWarp; ++lane) {
    if (shown(lane) == x) same |= 1u << lane;
  }
  return same;
}
