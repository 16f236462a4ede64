#pragma once

#include <initializer_list>
#include <iosfwd>
#include <limits>
#include <string>
#include <vector>

#include "runtime/call.h"
#include "runtime/signature.h"

namespace tfjs_torch {

inline constexpr int64_t kUnknownSize = std::numeric_limits<int64_t>::min();

// What a call's numbers are under the symbols of its signature: learned from the sizes of its tensors, one after another.
class Sizes {
 public:
  Sizes(const Signature& signature, const Call& call)
      : signature_(signature),
        call_(call),
        values_(signature.symbols.size(), kUnknownSize),
        packs_(signature.packs.size()),
        isPackKnown_(signature.packs.size(), false) {}

  void set(int symbol, int64_t value) { values_[symbol] = value; }
  // kUnknownSize where a symbol in it is not known. What is beyond int64 is its largest number.
  int64_t evaluate(const Expr& e) const;
  // Gives the one unknown symbol of a product its value. False where there is another unknown, or none; `divides` says whether there is
  // such a value.
  bool solve(const Expr& e, int64_t value, bool& divides);
  // Whether a dimension has the size that is declared; an unknown symbol takes it. False: another size, or not known yet.
  bool matches(const Expr& e, int64_t actual);
  // The same of the dimensions that a pack stands for.
  bool matches(const Dim& dim, at::IntArrayRef sizes);
  // ", D = 4, N = 2" of the symbols that are in them.
  std::string described(std::initializer_list<const Expr*> all) const;
  std::string described(const Shape& shape) const;

 private:
  void describe(const Expr& e, std::ostringstream& out, std::vector<bool>& said) const;

  const Signature& signature_;
  const Call& call_;
  c10::SmallVector<int64_t, 16> values_;
  c10::SmallVector<Dims, 2> packs_;
  c10::SmallVector<bool, 4> isPackKnown_;
};

}  // namespace tfjs_torch
