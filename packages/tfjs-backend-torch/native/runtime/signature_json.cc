#include <sstream>

#include "runtime/dtypes.h"
#include "runtime/signature.h"

namespace tfjs_torch {
namespace {

class Writer {
 public:
  explicit Writer(const Signature& signature) : s_(signature) {}

  std::string write() {
    out_ << "{\"name\":\"" << s_.name << "\",\"text\":\"" << s_.text << "\",\"inputs\":";
    list(s_.inputs, [&](const TensorArgument& x) { tensor(x); });
    out_ << ",\"attributes\":";
    list(s_.attributes, [&](const Attribute& a) { attribute(a); });
    out_ << ",\"outputs\":";
    list(s_.outputs, [&](const TensorArgument& x) { tensor(x); });
    out_ << ",\"conditions\":";
    list(s_.conditions, [&](const Condition& c) {
      out_ << "{\"relation\":\"" << c.relation << "\",\"left\":";
      expression(c.left);
      out_ << ",\"right\":";
      expression(c.right);
      out_ << '}';
    });
    out_ << '}';
    return out_.str();
  }

 private:
  template <typename T, typename F>
  void list(const std::vector<T>& all, F&& one) {
    out_ << '[';
    for (size_t i = 0; i < all.size(); ++i) {
      if (i > 0) out_ << ',';
      one(all[i]);
    }
    out_ << ']';
  }
  void text(const std::string& value) { out_ << '"' << value << '"'; }
  void inputName(int64_t index) { index < 0 ? void(out_ << "null") : text(s_.inputs[index].name); }

  // A number, a symbol's name, or [operator, operands...].
  void expression(const Expr& e) {
    const auto apply = [&](const char* name, int64_t input = -1) {
      out_ << "[\"" << name << '"';
      if (input >= 0) {
        out_ << ',';
        inputName(input);
      }
      for (const Expr& arg : e.args) {
        out_ << ',';
        expression(arg);
      }
      out_ << ']';
    };
    switch (e.kind) {
      case Expr::Kind::kNumber: out_ << e.value; break;
      case Expr::Kind::kSymbol: text(s_.symbols[e.value]); break;
      case Expr::Kind::kElements: out_ << "[\"#\",\"" << s_.packs[e.value] << "\"]"; break;
      case Expr::Kind::kRank: apply("rank", e.value); break;
      case Expr::Kind::kAdd: apply("+"); break;
      case Expr::Kind::kSubtract: apply("-"); break;
      case Expr::Kind::kMultiply: apply("*"); break;
      case Expr::Kind::kIfPresent: apply("?", e.value); break;
    }
  }

  void range(const std::optional<Range>& range) {
    if (!range) {
      out_ << "null";
      return;
    }
    out_ << "{\"low\":";
    expression(range->low);
    out_ << ",\"high\":";
    range->high ? expression(*range->high) : void(out_ << "null");
    out_ << ",\"open\":" << (range->isOpen ? "true" : "false") << '}';
  }

  void tensor(const TensorArgument& x) {
    out_ << "{\"name\":\"" << x.name << "\",\"optional\":" << (x.isOptional ? "true" : "false") << ",\"with\":";
    inputName(x.with);
    out_ << ",\"variadic\":" << (x.isVariadic ? "true" : "false") << ",\"dtypes\":";
    list(dtypeNames(x.dtypes), [&](const std::string& name) { text(name); });
    out_ << ",\"dtypeOf\":";
    inputName(x.dtypeOf);
    out_ << ",\"shape\":";
    if (x.shape) {
      list(x.shape->dims, [&](const Dim& dim) {
        switch (dim.kind) {
          case Dim::Kind::kSize: expression(dim.size); break;
          case Dim::Kind::kPack: out_ << "[\"...\",\"" << s_.packs[dim.pack] << "\"]"; break;
          case Dim::Kind::kBroadcast: out_ << "[\"~\",\"" << s_.packs[dim.pack] << "\"]"; break;
          case Dim::Kind::kAnything: out_ << "[\"...\"]"; break;
        }
      });
    } else {
      out_ << "null";
    }
    out_ << ",\"range\":";
    range(x.range);
    out_ << '}';
  }

  void attribute(const Attribute& a) {
    static constexpr const char* kKinds[] = {"int", "number", "bool", "text", "ints", "choice"};
    out_ << "{\"name\":\"" << a.name << "\",\"kind\":\"" << kKinds[static_cast<int>(a.kind)] << "\",\"choices\":";
    list(a.choices, [&](const std::string& choice) { text(choice); });
    out_ << ",\"length\":";
    a.length ? expression(*a.length) : void(out_ << "null");
    out_ << ",\"range\":";
    range(a.range);
    out_ << '}';
  }

  const Signature& s_;
  std::ostringstream out_;
};

}  // namespace

std::string toJson(const Signature& signature) { return Writer(signature).write(); }

}  // namespace tfjs_torch
