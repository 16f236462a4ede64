// Enough of CUDA to run native/cuda/*.cu on one CPU thread, in place of the toolkit's header of this name. A block's threads run one
// after another, and change over only where they wait for each other: one that waits keeps its stack, and where none waits a block is a
// plain loop. `order` chooses which warp runs ahead of the others, so that a missing barrier shows. Blocks run one after another.
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

constexpr unsigned kWarp = 32, kMostThreads = 1024, kNone = kMostThreads, kAll = 0xffffffffu;
constexpr size_t kStack = 64 << 10;
enum class Order { kForward, kBackward };
inline Order order = Order::kForward;

[[noreturn]] inline void fail(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::exit(1);
}

// Where threads run, one at a time.
struct Stack {
  void* at[5];  // of __builtin_setjmp
  std::unique_ptr<char[]> memory;
  bool isNew = true;
};

// The threads of a warp by what they do; one bit a lane.
struct Warp {
  uint32_t fresh, ready, atWarp, atBlock, done;
  // What lanes show each other, in turns: one is read while the next is written.
  uint32_t shown[2][kWarp];
  alignas(16) char shownWide[2][kWarp][48];
};

inline Stack home;
inline std::vector<std::unique_ptr<Stack>> stacks;
inline std::vector<Stack*> idle;
inline Stack* running = nullptr;
inline Stack* stackOf[kMostThreads];  // of a thread that has begun
inline uint32_t exchanges[kMostThreads];
inline Warp warps[kMostThreads / kWarp];
inline unsigned threads, atBlock, ended;
inline std::function<void()> body;
inline std::vector<char> dynamicShared;

inline Warp& myWarp() { return warps[threadIdx.x / kWarp]; }
inline uint32_t myBit() { return 1u << threadIdx.x % kWarp; }

// A thread of warp w that can run.
inline unsigned runnableOf(unsigned w) {
  const uint32_t mask = warps[w].fresh | warps[w].ready;
  if (mask == 0) return kNone;
  return w * kWarp + static_cast<unsigned>(order == Order::kForward ? __builtin_ctz(mask) : 31 - __builtin_clz(mask));
}

// Who runs next: a warp goes as far as it can before another has a turn, as far apart as warps can be.
inline unsigned nextThread() {
  unsigned next = runnableOf(threadIdx.x / kWarp);
  const unsigned count = threads / kWarp;
  for (unsigned i = 0; i < count && next == kNone; ++i) next = runnableOf(order == Order::kForward ? i : count - 1 - i);
  return next;
}

void runThreads();

__attribute__((noinline)) inline void enter(Stack* to) {
  if (!to->isNew) __builtin_longjmp(to->at, 1);
  to->isNew = false;
  static ucontext_t begin;
  getcontext(&begin);
  begin.uc_stack = {to->memory.get(), 0, kStack};
  begin.uc_link = nullptr;
  makecontext(&begin, runThreads, 0);
  setcontext(&begin);
}

// Back when another enters `from`. A stack's first entry aside, no system call takes part.
__attribute__((noinline)) inline void change(Stack* from, Stack* to) {
  if (__builtin_setjmp(from->at) == 0) enter(to);
}

// Takes a thread out of those that can run; gives the stack to enter.
inline Stack* takeUp(unsigned thread) {
  threadIdx.x = thread;
  Warp& warp = myWarp();
  if (warp.fresh & myBit()) {
    warp.fresh &= ~myBit();
    if (idle.empty()) {
      stacks.push_back(std::make_unique<Stack>());
      stacks.back()->memory.reset(new char[kStack]);
      idle.push_back(stacks.back().get());
    }
    stackOf[thread] = idle.back();
    idle.pop_back();
  } else {
    warp.ready &= ~myBit();
  }
  return running = stackOf[thread];
}

// Until another makes this thread ready.
inline void wait() {
  Stack* const mine = running;
  const unsigned next = nextThread();
  if (next == kNone) fail("threads wait for each other for ever");
  change(mine, takeUp(next));
}

// Threads that have ended no longer count at a block's barrier, as on the device.
inline void openBlockBarrier() {
  if (atBlock == 0 || atBlock + ended < threads) return;
  for (unsigned w = 0; w < threads / kWarp; ++w) {
    warps[w].ready |= warps[w].atBlock;
    warps[w].atBlock = 0;
  }
  atBlock = 0;
}

inline void waitForBlock() {
  myWarp().atBlock |= myBit();
  ++atBlock;
  openBlockBarrier();
  if (atBlock == 0)
    myWarp().ready &= ~myBit();
  else
    wait();
}

// All 32 must come: the masks of these kernels name them all. The last calls `together` for all.
template <typename Together>
void waitForWarp(const Together& together) {
  Warp& warp = myWarp();
  if (warp.done != 0) fail("a thread ended while its warp waits for it");
  warp.atWarp |= myBit();
  if (warp.atWarp != kAll) return wait();
  together();
  warp.ready |= warp.atWarp & ~myBit();
  warp.atWarp = 0;
}
inline void waitForWarp() {
  waitForWarp([] {});
}

// Shows x to the warp; the result reads what a lane shows.
template <typename T>
auto exchanged(unsigned mask, T x) {
  static_assert(sizeof(T) == sizeof(uint32_t));
  if (mask != kAll) fail("a mask of part of a warp");
  uint32_t* const shown = myWarp().shown[exchanges[threadIdx.x]++ % 2];
  std::memcpy(shown + threadIdx.x % kWarp, &x, sizeof(T));
  waitForWarp();
  return [shown](unsigned lane) {
    T other;
    std::memcpy(&other, shown + lane, sizeof(T));
    return other;
  };
}

// Shows x, of up to 48 bytes; the last lane that comes calls together(the 32 of them), and each gets its own back.
template <typename T, typename Together>
T exchangedWide(const T& x, const Together& together) {
  static_assert(sizeof(T) <= sizeof(Warp::shownWide[0][0]));
  auto& shown = myWarp().shownWide[exchanges[threadIdx.x]++ % 2];
  const unsigned lane = threadIdx.x % kWarp;
  std::memcpy(shown[lane], &x, sizeof(T));
  waitForWarp([&] {
    T all[kWarp];
    for (unsigned i = 0; i < kWarp; ++i) std::memcpy(&all[i], shown[i], sizeof(T));
    together(all);
    for (unsigned i = 0; i < kWarp; ++i) std::memcpy(shown[i], &all[i], sizeof(T));
  });
  T mine;
  std::memcpy(&mine, shown[lane], sizeof(T));
  return mine;
}

// Runs threads on a stack: the next on the same where it has not begun yet.
inline void runThreads() {
  for (;;) {
    body();
    Warp& warp = myWarp();
    if (warp.atWarp != 0) fail("a thread ended while its warp waits for it");
    warp.done |= myBit();
    ++ended;
    openBlockBarrier();
    Stack* const mine = running;
    idle.push_back(mine);
    const unsigned next = nextThread();
    if (next == kNone) {
      if (ended < threads) fail("threads wait for each other for ever");
      change(mine, &home);
    } else if (Stack* const to = takeUp(next); to != mine) {
      change(mine, to);
    }
  }
}

inline void runBlock() {
  atBlock = ended = 0;
  for (unsigned w = 0; w < threads / kWarp; ++w) {
    warps[w].fresh = kAll;
    warps[w].ready = warps[w].atWarp = warps[w].atBlock = warps[w].done = 0;
  }
  std::fill_n(exchanges, threads, 0);
  change(&home, takeUp(runnableOf(order == Order::kForward ? 0 : threads / kWarp - 1)));
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
  if (config->blockDim.x % emulated::kWarp != 0) emulated::fail("a block of parts of warps");
  emulated::dynamicShared.assign(config->dynamicSmemBytes, '\x7f');
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  emulated::home.isNew = false;
  emulated::threads = blockDim.x;
  emulated::body = [&] { kernel(arguments...); };
  for (unsigned b = 0; b < gridDim.x; ++b) {
    blockIdx.x = b;
    emulated::runBlock();
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
