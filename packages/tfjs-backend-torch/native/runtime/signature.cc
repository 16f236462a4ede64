#include "runtime/signature.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>
#include <stdexcept>

#include "runtime/dtypes.h"

namespace tfjs_torch {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { signature_.text = text; }

  Signature parse() {
    signature_.name = word();
    expect("(");
    if (!peek(")") && !peek(";")) {
      do {
        signature_.inputs.push_back(tensor(true));
      } while (take(","));
    }
    if (take(";")) {
      do attribute();
      while (take(","));
    }
    expect(")");
    expect("->");
    if (!take("nothing")) {
      do {
        signature_.outputs.push_back(tensor(false));
      } while (take(","));
    }
    if (take("where")) {
      do condition();
      while (take(","));
    }
    skip();
    if (at_ != text_.size()) fail("something is left over");
    return std::move(signature_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::logic_error("signature \"" + std::string(text_) + "\", character " + std::to_string(at_) + ": " + why);
  }

  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  static bool isWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
  bool peek(std::string_view token) {
    skip();
    if (text_.substr(at_, token.size()) != token) return false;
    const size_t end = at_ + token.size();
    return !isWord(token.back()) || end == text_.size() || !isWord(text_[end]);
  }
  bool take(std::string_view token) {
    if (!peek(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail("expected " + std::string(token));
  }
  std::string word() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && isWord(text_[at_])) ++at_;
    if (at_ == begin) fail("expected a name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string since(size_t begin) const {
    std::string_view part = text_.substr(begin, at_ - begin);
    while (!part.empty() && std::isspace(static_cast<unsigned char>(part.front()))) part.remove_prefix(1);
    return std::string(part);
  }

  static int indexIn(std::vector<std::string>& names, const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<int>(found - names.begin());
    names.push_back(name);
    return static_cast<int>(names.size()) - 1;
  }
  int input(const std::string& name) const {
    for (size_t i = 0; i < signature_.inputs.size(); ++i) {
      if (signature_.inputs[i].name == name) return static_cast<int>(i);
    }
    fail("no input " + name + " before this");
  }

  // input ? a : b, a sum, or a product.
  Expr expression() {
    const size_t begin = at_;
    skip();
    if (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_]))) {
      const std::string name = word();
      if (take("?")) {
        Expr choice{Expr::Kind::kIfPresent, input(name), {}};
        choice.args.push_back(sum());
        expect(":");
        choice.args.push_back(sum());
        return choice;
      }
      at_ = begin;
    }
    return sum();
  }
  Expr sum() {
    Expr left = product();
    for (;;) {
      const auto kind = peek("+") ? Expr::Kind::kAdd : Expr::Kind::kSubtract;
      if (peek("->") || !(take("+") || take("-"))) return left;
      left = {kind, 0, {std::move(left), product()}};
    }
  }
  Expr product() {
    Expr left = term();
    while (take("*")) left = {Expr::Kind::kMultiply, 0, {std::move(left), term()}};
    return left;
  }
  Expr term() {
    skip();
    if (take("#")) return {Expr::Kind::kElements, indexIn(signature_.packs, word()), {}};
    if (at_ < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-')) {
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc()) fail("expected a number");
      at_ = end - text_.data();
      return {Expr::Kind::kNumber, value, {}};
    }
    const std::string name = word();
    if (name == "rank" && take("(")) {
      Expr rank{Expr::Kind::kRank, input(word()), {}};
      expect(")");
      return rank;
    }
    return {Expr::Kind::kSymbol, indexIn(signature_.symbols, name), {}};
  }

  std::optional<Range> range() {
    skip();
    const size_t begin = at_;
    Range range;
    if (take(">=")) {
      range.low = expression();
      range.text = since(begin);
      return range;
    }
    if (!take("in")) return std::nullopt;
    expect("[");
    range.low = expression();
    expect(",");
    range.high = expression();
    range.isOpen = take(")");
    if (!range.isOpen) expect("]");
    range.text = since(begin);
    return range;
  }

  Shape shape() {
    Shape shape;
    const size_t begin = at_;
    expect("[");
    while (!take("]")) {
      if (!shape.dims.empty()) expect(",");
      Dim dim;
      if (take("...")) {
        const bool isNamed = !peek("]") && !peek(",");
        dim.kind = isNamed ? Dim::Kind::kPack : Dim::Kind::kAnything;
        if (isNamed) dim.pack = indexIn(signature_.packs, word());
      } else if (take("~")) {
        dim.kind = Dim::Kind::kBroadcast;
        dim.pack = indexIn(signature_.packs, word());
      } else {
        dim.size = expression();
        if (take("=")) {
          if (dim.size.kind != Expr::Kind::kSymbol) fail("only a symbol has a default");
          signature_.defaults.push_back({signature_.inputs.size(), static_cast<int>(dim.size.value), expression()});
        }
      }
      if (dim.kind != Dim::Kind::kSize) {
        if (shape.packAt >= 0) fail("a shape has one list of dimensions at most");
        shape.packAt = static_cast<int>(shape.dims.size());
      }
      shape.dims.push_back(std::move(dim));
    }
    shape.text = since(begin);
    return shape;
  }

  void dtype(TensorArgument& argument) {
    skip();
    const size_t begin = at_;
    const std::string name = word();
    if (take(".")) {
      expect("dtype");
      argument.dtypeOf = input(name);
    } else {
      const auto bits = dtypesNamed(name);
      if (!bits) fail("no dtype " + name);
      argument.dtypes = *bits;
    }
    argument.dtypeText = since(begin);
  }

  TensorArgument tensor(bool isInput) {
    TensorArgument argument;
    argument.name = word();
    if (take("?"))
      argument.isOptional = true;
    else if (take("if"))
      argument.with = input(word());
    if (take("...")) argument.isVariadic = true;
    if (!isInput && !peek(":")) return argument;
    expect(":");
    argument.isContiguous = take("contiguous");
    dtype(argument);
    if (isInput || peek("[")) argument.shape = shape();
    argument.range = range();
    return argument;
  }

  void attribute() {
    Attribute a;
    a.name = word();
    expect(":");
    if (take("{")) {
      a.kind = Attribute::Kind::kChoice;
      do a.choices.push_back(word());
      while (take(","));
      expect("}");
    } else {
      const std::string kind = word();
      if (kind == "int") {
        a.symbol = indexIn(signature_.symbols, a.name);
      } else if (kind == "number") {
        a.kind = Attribute::Kind::kNumber;
      } else if (kind == "bool") {
        a.kind = Attribute::Kind::kBool;
      } else if (kind == "text") {
        a.kind = Attribute::Kind::kText;
      } else if (kind == "ints") {
        a.kind = Attribute::Kind::kInts;
        if (take("[")) {
          a.length = expression();
          expect("]");
        }
      } else {
        fail("no kind of attribute " + kind);
      }
      a.range = range();
    }
    signature_.attributes.push_back(std::move(a));
  }

  void condition() {
    skip();
    const size_t begin = at_;
    Condition c;
    c.left = expression();
    for (const char* relation : {"<=", ">=", "=", "<", ">"}) {
      if (take(relation)) {
        c.relation = relation;
        break;
      }
    }
    if (c.relation.empty()) fail("expected a comparison");
    c.right = expression();
    c.text = since(begin);
    signature_.conditions.push_back(std::move(c));
  }

  std::string_view text_;
  size_t at_ = 0;
  Signature signature_;
};

}  // namespace

Signature parseSignature(std::string_view text) { return Parser(text).parse(); }

}  // namespace tfjs_torch
