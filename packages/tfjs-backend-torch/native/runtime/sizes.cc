#include "runtime/sizes.h"

#include <sstream>

namespace tfjs_torch {

int64_t Sizes::evaluate(const Expr& e) const {
  switch (e.kind) {
    case Expr::Kind::kNumber: return e.value;
    case Expr::Kind::kSymbol: return values_[e.value];
    case Expr::Kind::kElements: return isPackKnown_[e.value] ? c10::multiply_integers(packs_[e.value]) : kUnknownSize;
    case Expr::Kind::kRank: return call_.has(e.value) ? call_.x(e.value).dim() : kUnknownSize;
    case Expr::Kind::kIfPresent: return evaluate(e.args[call_.has(e.value) ? 0 : 1]);
    default: break;
  }
  const int64_t a = evaluate(e.args[0]), b = evaluate(e.args[1]);
  if (a == kUnknownSize || b == kUnknownSize) return kUnknownSize;
  int64_t result = 0;
  const bool overflows = e.kind == Expr::Kind::kAdd        ? __builtin_add_overflow(a, b, &result)
                         : e.kind == Expr::Kind::kSubtract ? __builtin_sub_overflow(a, b, &result)
                                                           : __builtin_mul_overflow(a, b, &result);
  return overflows ? std::numeric_limits<int64_t>::max() : result;
}

bool Sizes::solve(const Expr& e, int64_t value, bool& divides) {
  if (e.kind == Expr::Kind::kSymbol && values_[e.value] == kUnknownSize) {
    values_[e.value] = value;
    return true;
  }
  if (e.kind == Expr::Kind::kIfPresent) return solve(e.args[call_.has(e.value) ? 0 : 1], value, divides);
  if (e.kind != Expr::Kind::kMultiply) return false;
  for (const int side : {0, 1}) {
    const int64_t known = evaluate(e.args[1 - side]);
    if (known == kUnknownSize || evaluate(e.args[side]) != kUnknownSize) continue;
    divides = known == 0 ? value == 0 : value % known == 0;
    return divides ? solve(e.args[side], known == 0 ? 0 : value / known, divides) : true;
  }
  return false;
}

void Sizes::describe(const Expr& e, std::ostringstream& out, std::vector<bool>& said) const {
  if (e.kind == Expr::Kind::kSymbol && !said[e.value] && values_[e.value] != kUnknownSize) {
    out << ", " << signature_.symbols[e.value] << " = " << values_[e.value];
    said[e.value] = true;
  }
  for (const Expr& arg : e.args) describe(arg, out, said);
}
std::string Sizes::described(std::initializer_list<const Expr*> all) const {
  std::ostringstream out;
  std::vector<bool> said(values_.size(), false);
  for (const Expr* e : all) describe(*e, out, said);
  return out.str();
}

std::string Sizes::described(const Shape& shape) const {
  std::ostringstream out;
  std::vector<bool> said(values_.size(), false);
  for (const Dim& dim : shape.dims) {
    if (dim.kind == Dim::Kind::kSize) {
      describe(dim.size, out, said);
    } else if (dim.kind != Dim::Kind::kAnything && isPackKnown_[dim.pack]) {
      out << ", " << signature_.packs[dim.pack] << " = " << at::IntArrayRef(packs_[dim.pack]);
    }
  }
  return out.str();
}

bool Sizes::matches(const Expr& e, int64_t actual) {
  if (e.kind == Expr::Kind::kSymbol && values_[e.value] == kUnknownSize) {
    values_[e.value] = actual;
    return true;
  }
  return evaluate(e) == actual;
}

bool Sizes::matches(const Dim& dim, at::IntArrayRef sizes) {
  Dims& known = packs_[dim.pack];
  if (!isPackKnown_[dim.pack]) {
    known.assign(sizes.begin(), sizes.end());
    isPackKnown_[dim.pack] = true;
    return true;
  }
  if (dim.kind == Dim::Kind::kPack) return at::IntArrayRef(known) == sizes;
  std::vector<int64_t> merged(std::max(known.size(), sizes.size()));
  for (size_t i = 1; i <= merged.size(); ++i) {
    const int64_t a = i <= known.size() ? known[known.size() - i] : 1, b = i <= sizes.size() ? sizes[sizes.size() - i] : 1;
    if (a != b && a != 1 && b != 1) return false;
    merged[merged.size() - i] = a == 1 ? b : a;
  }
  known.assign(merged.begin(), merged.end());
  return true;
}

}  // namespace tfjs_torch
