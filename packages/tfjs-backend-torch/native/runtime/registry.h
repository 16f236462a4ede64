#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "runtime/call.h"

namespace tfjs_torch {

using Op = void (*)(Call&);

// Declares operations where they are written, at namespace scope:  const Operations ops = {{"Name(x: float[N]) -> y", function}};
// runtime/signature.h says how signatures are written.
struct Operations {
  Operations(std::initializer_list<std::pair<std::string, Op>> table);
};

}  // namespace tfjs_torch
