// Element by element: unary, binary, comparison, logical, selection, casts.
#include "runtime/call.h"
#include "runtime/registry.h"

namespace tfjs_torch {
namespace {

using Unary = at::Tensor (*)(const at::Tensor&);
using Binary = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

// Computed in floating point; on int32 and bool the value is cut back to the input's dtype, as the reference does.
template <Unary F>
void floatUnary(Call& c) {
  const at::Tensor& x = c.x();
  if (x.is_floating_point() || x.is_complex()) {
    c.result(F(x));
  } else {
    c.resultAs(F(x.to(at::kFloat)), x.scalar_type());
  }
}

// Exact on integers too.
template <Unary F>
void anyUnary(Call& c) {
  const at::Tensor& x = c.x();
  if (x.scalar_type() == at::kBool) {
    c.resultAs(F(x.to(at::kInt)), at::kBool);
  } else {
    c.result(F(x));
  }
}

template <Unary F>
void predicate(Call& c) {
  c.result(F(floating(c.x())).to(at::kBool));
}

// ATen promotes bool pairs to logical operations or refuses them; TensorFlow.js computes on 0 and 1.
template <Binary F>
void binary(Call& c) {
  const at::Tensor& a = c.x(0);
  const at::Tensor& b = c.x(1);
  if (a.scalar_type() == at::kBool && b.scalar_type() == at::kBool) {
    c.resultAs(F(a.to(at::kInt), b.to(at::kInt)), at::kBool);
  } else {
    c.result(F(a, b));
  }
}

template <Binary F>
void compare(Call& c) {
  c.result(F(c.x(0), c.x(1)));
}

at::Tensor add(const at::Tensor& a, const at::Tensor& b) { return at::add(a, b); }
at::Tensor subtract(const at::Tensor& a, const at::Tensor& b) { return at::sub(a, b); }
at::Tensor multiply(const at::Tensor& a, const at::Tensor& b) { return at::mul(a, b); }
at::Tensor power(const at::Tensor& a, const at::Tensor& b) { return at::pow(a, b); }
at::Tensor squaredDifference(const at::Tensor& a, const at::Tensor& b) { return at::square(at::sub(a, b)); }
at::Tensor leastOf(const at::Tensor& a, const at::Tensor& b) { return at::minimum(a, b); }
at::Tensor greatestOf(const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); }

// Division of integers: through double, because ATen raises on a zero divisor and TensorFlow.js does not.
at::Tensor wholeQuotient(const at::Tensor& a, const at::Tensor& b, bool floored) {
  const at::Tensor quotient = at::div(a.to(at::kDouble), b.to(at::kDouble));
  return at::nan_to_num(floored ? at::floor(quotient) : at::trunc(quotient), 0.0, 0.0, 0.0).to(at::kInt);
}

at::Tensor divide(const at::Tensor& a, const at::Tensor& b) {
  const bool whole = at::isIntegralType(a.scalar_type(), true) && at::isIntegralType(b.scalar_type(), true);
  return whole ? wholeQuotient(a, b, false) : at::div(a, b);
}

at::Tensor floorDivide(const at::Tensor& a, const at::Tensor& b) {
  return wholeQuotient(a, b, true);  // TensorFlow.js's FloorDiv is int32 whatever goes in
}

at::Tensor modulo(const at::Tensor& a, const at::Tensor& b) {
  if (at::isIntegralType(a.scalar_type(), true) && at::isIntegralType(b.scalar_type(), true)) {
    return at::nan_to_num(at::remainder(a.to(at::kDouble), b.to(at::kDouble)), 0.0, 0.0, 0.0).to(at::kInt);
  }
  return at::remainder(a, b);
}

at::Tensor arctangent2(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor y = at::atan2(floating(a), floating(b));
  return a.is_floating_point() ? y : y.to(a.scalar_type());
}

at::Tensor softplus(const at::Tensor& x) { return at::logaddexp(x, at::zeros({}, x.options())); }
at::Tensor relu6(const at::Tensor& x) { return at::clamp(x, 0, 6); }
at::Tensor elu(const at::Tensor& x) { return at::elu(x); }
at::Tensor roundHalfToEven(const at::Tensor& x) { return at::round(x); }

at::Tensor bitwiseAnd(const at::Tensor& a, const at::Tensor& b) { return at::bitwise_and(a, b); }
at::Tensor equal(const at::Tensor& a, const at::Tensor& b) { return at::eq(a, b); }
at::Tensor notEqual(const at::Tensor& a, const at::Tensor& b) { return at::ne(a, b); }
at::Tensor less(const at::Tensor& a, const at::Tensor& b) { return at::lt(a, b); }
at::Tensor lessEqual(const at::Tensor& a, const at::Tensor& b) { return at::le(a, b); }
at::Tensor greater(const at::Tensor& a, const at::Tensor& b) { return at::gt(a, b); }
at::Tensor greaterEqual(const at::Tensor& a, const at::Tensor& b) { return at::ge(a, b); }
at::Tensor logicalAnd(const at::Tensor& a, const at::Tensor& b) { return at::logical_and(a, b); }
at::Tensor logicalOr(const at::Tensor& a, const at::Tensor& b) { return at::logical_or(a, b); }
at::Tensor logicalXor(const at::Tensor& a, const at::Tensor& b) { return at::logical_xor(a, b); }
at::Tensor logicalNot(const at::Tensor& x) { return at::logical_not(x); }

// The one unary operation that TensorFlow.js makes float32 of int32.
void exponential(Call& c) { c.result(at::exp(floating(c.x()))); }

void addN(Call& c) {
  if (c.count() == 1) return c.result(c.x());
  at::Tensor sum = at::add(c.x(0), c.x(1));
  for (size_t i = 2; i < c.count(); ++i) {
    if (at::can_cast(c.x(i).scalar_type(), sum.scalar_type())) {
      sum.add_(c.x(i));
    } else {
      sum = at::add(sum, c.x(i));
    }
  }
  c.result(sum);
}

void cast(Call& c) {
  const at::Tensor& x = c.x();
  const at::ScalarType type = c.dtype();
  const at::Tensor real = x.is_complex() && type != at::kComplexFloat ? at::real(x) : x;
  if (type == at::kInt && real.is_floating_point()) {
    // As JavaScript's ToInt32: NaN and infinities are 0, large values wrap.
    c.result(at::nan_to_num(real.to(at::kDouble), 0.0, 0.0, 0.0).to(at::kLong).to(at::kInt));
  } else {
    c.result(real.to(type));
  }
}

// The physical width of a float tensor: bfloat16 or float32. Its TensorFlow.js dtype stays float32.
void precision(Call& c) {
  const bool isBfloat16 = c.flag();
  c.result(c.x().to(isBfloat16 ? at::kBFloat16 : at::kFloat));
}

void clip(Call& c) {
  const double low = c.number();
  const double high = c.number();
  c.resultAs(at::clamp(c.x(), low, high), c.x().scalar_type());
}

void leakyRelu(Call& c) {
  const double alpha = c.number();
  c.result(at::leaky_relu(floating(c.x()), alpha));
}

void step(Call& c) {
  const at::Tensor& x = c.x();
  const double alpha = c.number();
  const at::Tensor heaviside = at::where(at::gt(x, 0), 1.0, alpha).to(x.scalar_type());
  c.result(x.is_floating_point() ? at::where(at::isnan(x), x, heaviside) : heaviside);
}

void eluGrad(Call& c) {
  const at::Tensor& dy = c.x(0);
  const at::Tensor& y = c.x(1);
  c.result(at::where(at::ge(y, 0), dy, at::mul(dy, at::add(y, 1))));
}

void prelu(Call& c) {
  const at::Tensor& x = c.x(0);
  c.result(at::where(at::lt(x, 0), at::mul(x, c.x(1)), x));
}

void select(Call& c) {
  at::Tensor condition = c.x(0).to(at::kBool);
  const at::Tensor& t = c.x(1);
  // A condition of rank 1 chooses whole rows.
  if (condition.dim() == 1 && t.dim() > 1) {
    Dims shape(t.dim(), 1);
    shape[0] = condition.size(0);
    condition = condition.reshape(shape);
  }
  c.result(at::where(condition, t, c.x(2)));
}

void zerosLike(Call& c) { c.result(at::zeros(c.x().sizes(), c.x().options())); }
void onesLike(Call& c) { c.result(at::ones(c.x().sizes(), c.x().options())); }

// Operations of one input, and of two that broadcast.
std::string unarySignature(const std::string& name, const std::string& dtype, const std::string& result) {
  return name + "(x: " + dtype + "[...S]) -> y: " + result + "[...S]";
}
std::string binarySignature(const std::string& name, const std::string& dtype, const std::string& result) {
  return name + "(a: " + dtype + "[~S], b: " + dtype + "[~S]) -> y: " + result + "[~S]";
}

const Operations ops = {
    {unarySignature("Abs", "any", "any"), anyUnary<at::abs>},
    {unarySignature("Acos", "any", "any"), floatUnary<at::acos>},
    {unarySignature("Acosh", "any", "any"), floatUnary<at::acosh>},
    {binarySignature("Add", "any", "any"), binary<add>},
    {"AddN(terms...: any[...S]) -> y", addN},
    {unarySignature("Asin", "any", "any"), floatUnary<at::asin>},
    {unarySignature("Asinh", "any", "any"), floatUnary<at::asinh>},
    {unarySignature("Atan", "any", "any"), floatUnary<at::atan>},
    {binarySignature("Atan2", "real", "any"), binary<arctangent2>},
    {unarySignature("Atanh", "any", "any"), floatUnary<at::atanh>},
    {binarySignature("BitwiseAnd", "whole", "any"), binary<bitwiseAnd>},
    {"Cast(x: any[...S]; dtype: {float32, int32, bool, complex64}) -> y: any[...S]", cast},
    {unarySignature("Ceil", "real", "any"), floatUnary<at::ceil>},
    {"ClipByValue(x: real[...S]; clipValueMin: number, clipValueMax: number) -> y: x.dtype[...S]", clip},
    {unarySignature("Cos", "any", "any"), floatUnary<at::cos>},
    {unarySignature("Cosh", "any", "any"), floatUnary<at::cosh>},
    {unarySignature("Elu", "real", "any"), floatUnary<elu>},
    {"EluGrad(dy: real[~S], y: real[~S]) -> dx: real[~S]", eluGrad},
    {binarySignature("Equal", "any", "bool"), compare<equal>},
    {unarySignature("Erf", "real", "any"), floatUnary<at::erf>},
    {unarySignature("Exp", "any", "any"), exponential},
    {unarySignature("Expm1", "any", "any"), floatUnary<at::expm1>},
    {unarySignature("Floor", "real", "any"), floatUnary<at::floor>},
    {binarySignature("FloorDiv", "real", "any"), binary<floorDivide>},
    {binarySignature("Greater", "real", "bool"), compare<greater>},
    {binarySignature("GreaterEqual", "real", "bool"), compare<greaterEqual>},
    {unarySignature("IsFinite", "real", "bool"), predicate<at::isfinite>},
    {unarySignature("IsInf", "real", "bool"), predicate<at::isinf>},
    {unarySignature("IsNan", "real", "bool"), predicate<at::isnan>},
    {"LeakyRelu(x: real[...S]; alpha: number) -> y: float[...S]", leakyRelu},
    {binarySignature("Less", "real", "bool"), compare<less>},
    {binarySignature("LessEqual", "real", "bool"), compare<lessEqual>},
    {unarySignature("Log", "any", "any"), floatUnary<at::log>},
    {unarySignature("Log1p", "any", "any"), floatUnary<at::log1p>},
    {binarySignature("LogicalAnd", "any", "bool"), compare<logicalAnd>},
    {unarySignature("LogicalNot", "any", "bool"), predicate<logicalNot>},
    {binarySignature("LogicalOr", "any", "bool"), compare<logicalOr>},
    {binarySignature("LogicalXor", "any", "bool"), compare<logicalXor>},
    {binarySignature("Maximum", "real", "any"), binary<greatestOf>},
    {binarySignature("Minimum", "real", "any"), binary<leastOf>},
    {binarySignature("Mod", "real", "any"), binary<modulo>},
    {binarySignature("Multiply", "any", "any"), binary<multiply>},
    {unarySignature("Neg", "any", "any"), anyUnary<at::neg>},
    {binarySignature("NotEqual", "any", "bool"), compare<notEqual>},
    {unarySignature("OnesLike", "any", "any"), onesLike},
    {binarySignature("Pow", "any", "any"), binary<power>},
    {"TorchPrecision(x: float[...S]; precision: {float32, bfloat16}) -> y: float[...S]", precision},
    {"Prelu(x: real[~S], alpha: real[~S]) -> y: real[~S]", prelu},
    {binarySignature("RealDiv", "any", "any"), binary<divide>},
    {unarySignature("Reciprocal", "any", "any"), floatUnary<at::reciprocal>},
    {unarySignature("Relu", "real", "any"), anyUnary<at::relu>},
    {unarySignature("Relu6", "real", "any"), anyUnary<relu6>},
    {unarySignature("Round", "real", "any"), floatUnary<roundHalfToEven>},
    {unarySignature("Rsqrt", "any", "any"), floatUnary<at::rsqrt>},
    {"Select(condition: any[...], t: any[...S], e: any[...S]) -> y: any[...S]", select},
    {unarySignature("Selu", "real", "any"), floatUnary<at::selu>},
    {unarySignature("Sigmoid", "any", "any"), floatUnary<at::sigmoid>},
    {unarySignature("Sign", "real", "any"), anyUnary<at::sign>},
    {unarySignature("Sin", "any", "any"), floatUnary<at::sin>},
    {unarySignature("Sinh", "any", "any"), floatUnary<at::sinh>},
    {unarySignature("Softplus", "any", "any"), floatUnary<softplus>},
    {unarySignature("Sqrt", "any", "any"), floatUnary<at::sqrt>},
    {unarySignature("Square", "any", "any"), anyUnary<at::square>},
    {binarySignature("SquaredDifference", "any", "any"), binary<squaredDifference>},
    {"Step(x: real[...S]; alpha: number) -> y: x.dtype[...S]", step},
    {binarySignature("Sub", "any", "any"), binary<subtract>},
    {unarySignature("Tan", "any", "any"), floatUnary<at::tan>},
    {unarySignature("Tanh", "any", "any"), floatUnary<at::tanh>},
    {unarySignature("ZerosLike", "any", "any"), zerosLike},
};

}  // namespace

at::Tensor activate(const at::Tensor& x, int64_t activation, const at::Tensor& preluWeights, double leakyreluAlpha) {
  switch (activation) {
    case 0: return x;
    case 1: return at::relu(x);
    case 2: return at::clamp(x, 0, 6);
    case 3: return at::elu(x);
    case 4: return at::sigmoid(x);
    case 5: return at::where(at::lt(x, 0), at::mul(x, preluWeights), x);
    case 6: return at::leaky_relu(x, leakyreluAlpha);
    default: TORCH_CHECK(false, "unknown activation ", activation);
  }
}

}  // namespace tfjs_torch
