#pragma once

#include <deque>

#include "runtime/registry.h"
#include "runtime/signature.h"

namespace tfjs_torch {

struct Operation {
  Signature signature;
  Op run;
};

// All operations, in no order. Complete when the addon has been loaded.
std::deque<Operation>& operations();

}  // namespace tfjs_torch
