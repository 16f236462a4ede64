// Noise that is a function of a state alone, the same bits wherever it is drawn: Chris Doty-Humphrey's sfc32, as src/base/random.ts of
// mswitch has it.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

struct Sfc32 {
  uint32_t a, b, c, d;
  uint32_t next() {
    const uint32_t t = a + b + d++;
    a = b ^ (b >> 9);
    b = c + (c << 3);
    c = ((c << 21) | (c >> 11)) + t;
    return t;
  }
};

// Two roundings for each value, as in JavaScript, where a CPU could do with one.
__attribute__((optimize("fp-contract=off"))) void fillUniform(Sfc32 stream, double low, double scale, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(low + scale * stream.next());
}

// low, high, four words of state, shape -> uniform in [low, high), float32
void uniform(Call& c) {
  const double low = c.number(), high = c.number();
  const Dims state = c.ints(4);
  const auto word = [&](size_t i) { return static_cast<uint32_t>(state[i]); };
  Sfc32 stream{word(0), word(1), word(2), word(3)};
  constexpr int kLeftOut = 12;
  for (int i = 0; i < kLeftOut; ++i) stream.next();
  const at::Tensor noise = at::empty(c.ints(), at::TensorOptions().dtype(at::kFloat));
  fillUniform(stream, low, (high - low) / 4294967296.0, noise.mutable_data_ptr<float>(), noise.numel());
  c.result(noise.to(c.device()));
}

const Operations ops = {
    {"TorchUniform(; low: number, high: number, state: ints[4] in [0, 4294967295], shape: ints >= 0) -> y: float32[...]", uniform},
};

}  // namespace

}  // namespace tfjs_torch
