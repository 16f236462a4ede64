#pragma once

#include <ATen/Parallel.h>
#include <c10/util/ParallelGuard.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace tfjs_torch {

// How many run side by side here: the threads, or one inside a parallel region.
inline int64_t workersHere() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// The same for so many multiplications: what takes some ten microseconds takes less time in one thread than waking another.
inline int64_t workersFor(int64_t multiplications) {
  constexpr int64_t kSmall = 1 << 21;
  return multiplications < kSmall ? 1 : workersHere();
}

// Items of so many values each that a thread takes at least, for the same reason.
inline int64_t grainFor(int64_t values) {
  constexpr int64_t kValues = 16384;
  return std::max<int64_t>(kValues / std::max<int64_t>(values, 1), 1);
}

// body(worker, task) for each task. A worker begins with its own range, the same one wherever there are so many tasks, whose rows the
// operation before has left in its cache; then it takes what others have left, since cores that share their units with others are not
// equally fast from one millisecond to the next.
template <typename F>
void forTasks(int64_t tasks, int64_t workers, const F& body) {
  struct alignas(64) Range {
    std::atomic<int64_t> next;
    int64_t end;
  };
  const int64_t count = std::min(workers, tasks);
  if (count <= 1) {
    const c10::ParallelGuard inside(true);
    for (int64_t task = 0; task < tasks; ++task) body(0, task);
    return;
  }
  const std::unique_ptr<Range[]> ranges(new Range[count]);
  for (int64_t i = 0; i < count; ++i) {
    ranges[i].next = tasks * i / count;
    ranges[i].end = tasks * (i + 1) / count;
  }
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t i = 0; i < count; ++i) {
        Range& range = ranges[(worker + i) % count];
        for (int64_t task = range.next++; task < range.end; task = range.next++) body(worker, task);
      }
    }
  });
}
template <typename F>
void forTasks(int64_t tasks, const F& body) {
  forTasks(tasks, workersHere(), body);
}

}  // namespace tfjs_torch
