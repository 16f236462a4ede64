#pragma once

#include "runtime/call.h"
#include "runtime/signature.h"

namespace tfjs_torch {

// Throws where a call is not what the signature says, with the argument's name, and makes inputs contiguous that are declared so.
// Values of index inputs are compared on the CPU only: a device would have to be waited for. The kernels of CUDA leave alone what is out
// of range, or assert on the device.
void checkCall(const Signature& signature, Call& call);

// Throws where the results of a checked call are not what the signature says: an error of the operation. For tests.
void checkResults(const Signature& signature, Call& call);

}  // namespace tfjs_torch
