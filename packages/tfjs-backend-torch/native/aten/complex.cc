// complex64 and Fourier transforms.
#include "runtime/call.h"

namespace tfjs_torch {
namespace {

void complex(Call& c) { c.result(at::complex(c.x(0), c.x(1))); }
void realPart(Call& c) { c.result(c.x().is_complex() ? at::real(c.x()).contiguous() : c.x()); }
void imaginaryPart(Call& c) { c.result(c.x().is_complex() ? at::imag(c.x()).contiguous() : at::zeros_like(c.x())); }
void magnitude(Call& c) { c.result(at::abs(c.x())); }
void transform(Call& c) { c.result(at::fft_fft(c.x())); }
void inverseTransform(Call& c) { c.result(at::fft_ifft(c.x())); }

}  // namespace

void addComplexOps(OpTable& ops) {
  const OpTable table = {
      {"Complex", complex},       {"ComplexAbs", magnitude}, {"FFT", transform},
      {"IFFT", inverseTransform}, {"Imag", imaginaryPart},   {"Real", realPart},
  };
  ops.insert(ops.end(), table.begin(), table.end());
}

}  // namespace tfjs_torch
