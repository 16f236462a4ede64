#include "runtime/operations.h"

#include <algorithm>
#include <stdexcept>

namespace tfjs_torch {

std::deque<Operation>& operations() {
  static std::deque<Operation> all;
  return all;
}

Operations::Operations(std::initializer_list<std::pair<std::string, Op>> table) {
  for (const auto& [text, run] : table) {
    Signature signature = parseSignature(text);
    const auto isSame = [&](const Operation& known) { return known.signature.name == signature.name; };
    if (std::any_of(operations().begin(), operations().end(), isSame)) throw std::logic_error("two operations " + signature.name);
    operations().push_back({std::move(signature), run});
  }
}

}  // namespace tfjs_torch
