#pragma once

namespace tfjs_torch {

// How this process's threads share cores with other programs (docs/decisions/0053-threads-beside-other-programs.md). Linux alone; elsewhere
// nothing is done.

// Asks the kernel for slices of 0.1 ms for the calling thread and those that it starts: their share of a core is the same, in shorter
// turns, so that a thread that is woken runs at once. Linux 6.12 and later; earlier kernels take no notice.
void requestShortSlices();

// Where the scheduler has put two of OpenMP's threads on one core, moves one to a core that has none of them: each would wait in a loop
// that keeps the other from running. Threads stay free to be moved again. Looks every 5 ms at most; not within a parallel region.
void spreadThreads();

}  // namespace tfjs_torch
