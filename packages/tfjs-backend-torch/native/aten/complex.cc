// complex64 and Fourier transforms.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

void complex(Call& c) { c.result(at::complex(c.x(0), c.x(1))); }
void realPart(Call& c) { c.result(c.x().is_complex() ? at::real(c.x()).contiguous() : c.x()); }
void imaginaryPart(Call& c) { c.result(c.x().is_complex() ? at::imag(c.x()).contiguous() : at::zeros_like(c.x())); }
void magnitude(Call& c) { c.result(at::abs(c.x())); }
void transform(Call& c) { c.result(at::fft_fft(c.x())); }
void inverseTransform(Call& c) { c.result(at::fft_ifft(c.x())); }

const Operations ops = {
    {"Complex(real: float32[...S], imag: float32[...S]) -> y: complex64[...S]", complex},
    {"ComplexAbs(x: any[...S]) -> y: any[...S]", magnitude},
    {"FFT(input: complex64[...S]) -> y: complex64[...S]", transform},
    {"IFFT(input: complex64[...S]) -> y: complex64[...S]", inverseTransform},
    {"Imag(input: any[...S]) -> y: real[...S]", imaginaryPart},
    {"Real(input: any[...S]) -> y: real[...S]", realPart},
};

}  // namespace

}  // namespace tfjs_torch
