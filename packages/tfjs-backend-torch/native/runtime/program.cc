#include "runtime/program.h"

#include "cpu/scheduling.h"
#include "runtime/call.h"

namespace tfjs_torch {

int32_t Program::placeOf(int32_t handle) {
  const auto found = places_.find(handle);
  if (found != places_.end()) return found->second;
  // Made before the recording, or written by JavaScript: kept.
  return places_[handle] = tensors_.put(table_.get(handle));
}

void Program::addCall(const Operation& operation, const double* args) {
  const auto length = static_cast<size_t>(args[0]);
  Step step{&operation, {args, args + length}, {}, {}};
  double* at = step.args.data() + 3;
  for (double left = step.args[2]; left > 0; --left) {
    if (*at >= 0) *at = placeOf(static_cast<int32_t>(*at));
    at += 2 + static_cast<size_t>(at[1]);
  }
  steps_.push_back(std::move(step));
}

void Program::addResults(const std::vector<int32_t>& handles) {
  for (const int32_t handle : handles) {
    const int32_t place = tensors_.put({});
    steps_.back().results.push_back(place);
    places_[handle] = place;
    outputs_[handle] = place;
  }
}

void Program::addRelease(int32_t handle) {
  const auto found = places_.find(handle);
  if (found == places_.end()) return;
  if (outputs_.erase(handle) > 0) steps_.back().releases.push_back(found->second);
  places_.erase(found);
}

void Program::finish() { places_.clear(); }

void Program::run() {
  for (const Step& step : steps_) {
    Call call(tensors_, step.args.data(), step.args.size());
    try {
      spreadThreads();
      step.operation->run(call);
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, step.operation->signature.name, ": ", error.what_without_backtrace());
    }
    for (size_t i = 0; i < step.results.size(); ++i) tensors_.set(step.results[i], call.results()[i]);
    for (const int32_t place : step.releases) tensors_.set(place, {});
  }
  for (const auto& [handle, place] : outputs_) table_.set(handle, tensors_.get(place));
  for (const Step& step : steps_) {
    for (const int32_t place : step.results) tensors_.set(place, {});
  }
}

}  // namespace tfjs_torch
