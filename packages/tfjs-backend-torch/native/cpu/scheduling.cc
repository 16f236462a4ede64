#include "cpu/scheduling.h"

#include <ATen/Parallel.h>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>
#endif

namespace tfjs_torch {

#ifdef __linux__
namespace {

// Moves the calling thread to the first core that it may use and that is not in `taken`.
void moveAwayFrom(const std::vector<int>& taken) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;  // more cores than a cpu_set_t names
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || std::find(taken.begin(), taken.end(), core) != taken.end()) continue;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(core, &only);
    if (sched_setaffinity(0, sizeof only, &only) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
    return;
  }
}

// The kernel's struct sched_attr, which C libraries declare from glibc 2.41 on.
struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

}  // namespace

void requestShortSlices() {
  SchedAttr attr{};
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.policy != SCHED_OTHER) return;
  attr.size = sizeof attr;
  attr.runtime = 100'000;
  syscall(SYS_sched_setattr, 0, &attr, 0);  // refused, or unknown to the kernel: slices stay as they are
}

void spreadThreads() {
  using Clock = std::chrono::steady_clock;
  thread_local Clock::time_point next;
  const Clock::time_point now = Clock::now();
  if (now < next || at::in_parallel_region()) return;
  next = now + std::chrono::milliseconds(5);
  const int threads = at::get_num_threads();
  if (threads == 1) return;
  std::vector<int> cores(threads, -1);
  at::parallel_for(0, threads, 1, [&](int64_t thread, int64_t) { cores[thread] = sched_getcpu(); });
  int64_t moves = 1;
  while (moves < threads && std::find(cores.begin(), cores.begin() + moves, cores[moves]) == cores.begin() + moves) ++moves;
  // One at a time: the next look finds the others.
  if (moves < threads) {
    at::parallel_for(0, threads, 1, [&](int64_t thread, int64_t) {
      if (thread == moves) moveAwayFrom(cores);
    });
  }
}
#else
void requestShortSlices() {}
void spreadThreads() {}
#endif

}  // namespace tfjs_torch
