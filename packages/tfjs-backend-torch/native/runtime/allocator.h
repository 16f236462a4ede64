#pragma once

namespace tfjs_torch {

// Gives ATen's large CPU blocks huge pages, and keeps them when they are freed. Once a process; Linux only, elsewhere nothing happens.
void keepFreedMemory();

}  // namespace tfjs_torch
