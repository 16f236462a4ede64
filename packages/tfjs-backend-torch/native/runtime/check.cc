#include "runtime/check.h"

#include <cmath>
#include <limits>

#include "runtime/dtypes.h"
#include "runtime/sizes.h"

namespace tfjs_torch {
namespace {

constexpr int64_t kLeastInt = std::numeric_limits<int32_t>::min(), kMostInt = std::numeric_limits<int32_t>::max();
constexpr int64_t kMostSize = int64_t{1} << 53;

uint8_t bitOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return kFloat32Bit;
    case at::kBFloat16: return kBfloat16Bit;
    case at::kInt: return kInt32Bit;
    case at::kBool: return kBoolBit;
    case at::kComplexFloat: return kComplex64Bit;
    default: return 0;
  }
}

// Holds a call to its signature.
class Matcher {
 public:
  Matcher(const Signature& signature, Call& call) : s_(signature), call_(call), sizes_(signature, call) {}

  void inputs() {
    const size_t fixed = s_.inputs.size() - (s_.isVariadic() ? 1 : 0);
    TORCH_CHECK(call_.count() >= fixed && (s_.isVariadic() || call_.count() == fixed), "takes ", fixed, " inputs",
                s_.isVariadic() ? " or more" : "", ", got ", call_.count());
    attributes();
    for (size_t i = 0; i < call_.count(); ++i) presence(i);
    for (size_t i = 0; i < call_.count(); ++i) {
      if (!call_.has(i)) {
        for (const auto& [input, symbol, value] : s_.defaults) {
          if (input == i) sizes_.set(symbol, sizes_.evaluate(value));
        }
        continue;
      }
      const TensorArgument& argument = argumentAt(i);
      tensor(argument, name(i), call_.x(i));
      if (argument.isContiguous && !call_.x(i).is_contiguous()) call_.setInput(i, call_.x(i).contiguous());
    }
    settlePending();
    for (const Condition& condition : s_.conditions) require(condition);
    for (const auto& [index, list] : lists_) attributeRange(s_.attributes[index], list);
    for (size_t i = 0; i < call_.count(); ++i) {
      const TensorArgument& argument = argumentAt(i);
      if (argument.range && call_.has(i)) indices(argument, call_.x(i));
    }
  }

  void results() {
    size_t next = 0;
    const auto& results = call_.results();
    for (const TensorArgument& output : s_.outputs) {
      if (output.with >= 0 && !call_.has(output.with)) continue;
      do {
        if (output.isVariadic && next == results.size()) break;
        TORCH_CHECK(next < results.size(), "result ", output.name, " is missing");
        const at::Tensor& x = results[next++];
        if (output.shape) tensor(output, output.name, x);
      } while (output.isVariadic);
    }
    TORCH_CHECK(next == results.size(), results.size(), " results, ", next, " declared");
    settlePending();
  }

 private:
  const TensorArgument& argumentAt(size_t i) const { return s_.inputs[std::min(i, s_.inputs.size() - 1)]; }
  std::string name(size_t i) const {
    const TensorArgument& argument = argumentAt(i);
    return argument.isVariadic ? argument.name + "[" + std::to_string(i + 1 - s_.inputs.size()) + "]" : argument.name;
  }

  [[noreturn]] void wrongShape(const TensorArgument& argument, const std::string& called, const at::Tensor& x) const {
    TORCH_CHECK(false, called, ": shape ", x.sizes(), " is not ", argument.shape->text, sizes_.described(*argument.shape));
  }

  void attributes() {
    const double* at = call_.attributesBegin();
    const double* const end = call_.attributesEnd();
    for (size_t i = 0; i < s_.attributes.size(); ++i) {
      const Attribute& a = s_.attributes[i];
      TORCH_CHECK(at < end, a.name, ": is missing");
      const bool isList = a.kind == Attribute::Kind::kInts || a.kind == Attribute::Kind::kText;
      const double first = *at++;
      if (!isList) {
        if (a.kind == Attribute::Kind::kNumber) {
          TORCH_CHECK(!a.range || std::isfinite(first), a.name, ": ", first, " is not ", a.range->text);
        } else {
          TORCH_CHECK(isInt(first), a.name, ": ", first, " is no integer of 32 bits");
          if (a.kind == Attribute::Kind::kBool) TORCH_CHECK(first == 0 || first == 1, a.name, ": ", first, " is no truth value");
          if (a.kind == Attribute::Kind::kChoice)
            TORCH_CHECK(first >= 0 && first < static_cast<double>(a.choices.size()), a.name, ": ", first, " is no choice");
        }
        if (a.symbol >= 0) sizes_.set(a.symbol, static_cast<int64_t>(first));
        if (!a.range) continue;
        const c10::ArrayRef<double> one(at - 1, 1);
        const auto isKnown = [](const Expr& e) { return e.kind == Expr::Kind::kNumber; };
        if (isKnown(a.range->low) && (!a.range->high || isKnown(*a.range->high)))
          attributeRange(a, one);
        else
          lists_.emplace_back(i, one);
        continue;
      }
      TORCH_CHECK(first >= 0 && first <= static_cast<double>(end - at), a.name, ": is a malformed list");
      const c10::ArrayRef<double> list(at, static_cast<size_t>(first));
      for (const double value : list) TORCH_CHECK(isInt(value) || isWord(a, value), a.name, ": ", value, " is no integer of 32 bits");
      if (a.range || a.length) lists_.emplace_back(i, list);
      at += list.size();
    }
    TORCH_CHECK(at == end, "takes ", s_.attributes.size(), " attributes, got more");
  }
  static bool isInt(double x) { return x >= kLeastInt && x <= kMostInt && x == std::trunc(x); }
  // Where a range says so, unsigned words are taken too.
  static bool isWord(const Attribute& a, double x) {
    return a.range && a.range->high && a.range->high->kind == Expr::Kind::kNumber && x >= 0 && x == std::trunc(x) && x <= kMostSize;
  }

  void attributeRange(const Attribute& a, c10::ArrayRef<double> values) const {
    if (a.length) {
      const int64_t length = sizes_.evaluate(*a.length);
      TORCH_CHECK(static_cast<int64_t>(values.size()) == length, a.name, ": expected ", length, " values, got ", values.size());
    }
    if (!a.range) return;
    const Range& range = *a.range;
    const auto low = static_cast<double>(sizes_.evaluate(range.low));
    const double high = range.high ? static_cast<double>(sizes_.evaluate(*range.high)) : INFINITY;
    for (const double value : values) {
      TORCH_CHECK(value >= low && (range.isOpen ? value < high : value <= high), a.name, ": ", value, " is not ", range.text,
                  sizes_.described({&range.low, range.high ? &*range.high : &range.low}));
    }
  }

  void presence(size_t i) {
    const TensorArgument& argument = argumentAt(i);
    if (argument.with >= 0) {
      const std::string& other = s_.inputs[argument.with].name;
      TORCH_CHECK(call_.has(i) == call_.has(argument.with), argument.name, ": is there exactly where ", other, " is");
      return;
    }
    TORCH_CHECK(call_.has(i) || argument.isOptional, name(i), ": is missing");
  }

  void tensor(const TensorArgument& argument, const std::string& called, const at::Tensor& x) {
    const uint8_t bit = bitOf(x.scalar_type());
    if (argument.dtypeOf >= 0) {
      const at::Tensor& other = call_.x(argument.dtypeOf);
      TORCH_CHECK(x.scalar_type() == other.scalar_type(), called, ": ", x.scalar_type(), " is not of ", argument.dtypeText, ", ",
                  other.scalar_type());
    } else {
      TORCH_CHECK((bit & argument.dtypes) != 0, called, ": dtype ", x.scalar_type(), " is not ", argument.dtypeText);
    }
    TORCH_CHECK(x.device() == call_.device(), called, ": lies on ", x.device(), ", not on ", call_.device());
    const Shape& shape = *argument.shape;
    const auto rank = x.dim(), declared = static_cast<int64_t>(shape.dims.size());
    if (shape.packAt < 0 ? rank != declared : rank < declared - 1) wrongShape(argument, called, x);
    int64_t d = 0;
    for (int64_t i = 0; i < declared; ++i) {
      const Dim& dim = shape.dims[i];
      if (dim.kind == Dim::Kind::kSize) {
        if (!sizes_.matches(dim.size, x.size(d++))) {
          if (sizes_.evaluate(dim.size) != kUnknownSize) wrongShape(argument, called, x);
          pending_.push_back({&argument, &dim.size, &x, d - 1, called});
        }
        continue;
      }
      const int64_t count = rank - (declared - 1);
      const at::IntArrayRef part = x.sizes().slice(d, count);
      d += count;
      if (dim.kind != Dim::Kind::kAnything && !sizes_.matches(dim, part)) wrongShape(argument, called, x);
    }
  }

  // Sizes that could not be compared in the order of the arguments.
  void settlePending() {
    for (bool moved = true; moved && !pending_.empty();) {
      moved = false;
      for (size_t i = 0; i < pending_.size(); ++i) {
        const Pending p = pending_[i];
        const int64_t actual = p.tensor->size(p.dim);
        bool divides = true;
        if (sizes_.evaluate(*p.size) == kUnknownSize && !sizes_.solve(*p.size, actual, divides)) continue;
        if (!divides || sizes_.evaluate(*p.size) != actual) wrongShape(*p.argument, p.called, *p.tensor);
        pending_.erase(pending_.begin() + static_cast<int64_t>(i--));
        moved = true;
      }
    }
    if (!pending_.empty()) wrongShape(*pending_[0].argument, pending_[0].called, *pending_[0].tensor);
  }

  void require(const Condition& c) {
    bool divides = true;
    int64_t left = sizes_.evaluate(c.left), right = sizes_.evaluate(c.right);
    if (c.relation == "=" && right == kUnknownSize && left != kUnknownSize && sizes_.solve(c.right, left, divides))
      right = sizes_.evaluate(c.right);
    const bool holds = left != kUnknownSize && right != kUnknownSize && divides &&
                       (c.relation == "="    ? left == right
                        : c.relation == "<=" ? left <= right
                        : c.relation == ">=" ? left >= right
                        : c.relation == "<"  ? left < right
                                             : left > right);
    TORCH_CHECK(holds, firstArgumentOf(c), ": ", c.text, " does not hold", sizes_.described({&c.left, &c.right}));
  }
  static bool mentions(const Expr& in, const Expr& what) {
    if (in.kind == what.kind && in.value == what.value && in.args.empty() && in.kind != Expr::Kind::kNumber) return true;
    return std::any_of(in.args.begin(), in.args.end(), [&](const Expr& arg) { return mentions(arg, what); });
  }
  static const Expr* firstName(const Expr& e) {
    if (e.args.empty()) return e.kind == Expr::Kind::kNumber ? nullptr : &e;
    for (const Expr& arg : e.args) {
      if (const Expr* found = firstName(arg)) return found;
    }
    return nullptr;
  }
  // The argument to name: the first whose shape, or which itself, is what a condition begins with.
  std::string firstArgumentOf(const Condition& c) const {
    const Expr* const what = firstName(c.left);
    if (what == nullptr) return s_.name;
    for (const Attribute& a : s_.attributes) {
      if (what->kind == Expr::Kind::kSymbol && a.symbol == what->value) return a.name;
    }
    for (const TensorArgument& x : s_.inputs) {
      for (const Dim& dim : x.shape->dims) {
        const bool isPack = what->kind == Expr::Kind::kElements && dim.kind != Dim::Kind::kSize && dim.pack == what->value;
        if (isPack || (dim.kind == Dim::Kind::kSize && mentions(dim.size, *what))) return x.name;
      }
    }
    return s_.name;
  }

  void indices(const TensorArgument& argument, const at::Tensor& x) const {
    if (!x.is_cpu() || x.numel() == 0) return;
    const Range& range = *argument.range;
    const int64_t low = sizes_.evaluate(range.low), high = range.high ? sizes_.evaluate(*range.high) - (range.isOpen ? 1 : 0) : kMostInt;
    const at::Tensor values = x.contiguous();
    const int32_t* const all = values.const_data_ptr<int32_t>();
    const int64_t count = values.numel();
    int32_t least = all[0], most = all[0];
#pragma omp simd reduction(min : least) reduction(max : most)
    for (int64_t i = 0; i < count; ++i) {
      least = std::min(least, all[i]);
      most = std::max(most, all[i]);
    }
    TORCH_CHECK(least >= low && most <= high, argument.name, ": value ", least < low ? least : most, " is not ", range.text,
                sizes_.described({&range.low, range.high ? &*range.high : &range.low}));
  }

  struct Pending {
    const TensorArgument* argument;
    const Expr* size;
    const at::Tensor* tensor;
    int64_t dim;
    std::string called;
  };

  const Signature& s_;
  Call& call_;
  Sizes sizes_;
  c10::SmallVector<std::pair<size_t, c10::ArrayRef<double>>, 8> lists_;
  std::vector<Pending> pending_;
};

}  // namespace

void checkCall(const Signature& signature, Call& call) { Matcher(signature, call).inputs(); }

void checkResults(const Signature& signature, Call& call) {
  Matcher matcher(signature, call);
  matcher.inputs();
  matcher.results();
}

}  // namespace tfjs_torch
