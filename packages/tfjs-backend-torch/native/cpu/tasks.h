#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tfjs_torch {

// How many run side by side here: the threads, or one inside a parallel region.
inline int64_t workersHere() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// body(worker, task) for each task, which goes to the worker, one of workersHere(), that is free: cores that share their units with
// others are not equally fast from one millisecond to the next.
template <typename F>
void forTasks(int64_t tasks, const F& body) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min(workersHere(), tasks), 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t task = next++; task < tasks; task = next++) body(worker, task);
    }
  });
}

}  // namespace tfjs_torch
