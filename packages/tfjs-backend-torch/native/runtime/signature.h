#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What an operation takes and gives, written once as text with its registration (runtime/registry.h). The binding checks every call
// against it before a kernel sees a tensor (runtime/check.h), and TypeScript writes calls by it (src/native.ts).
//
//   TorchEmbedding(table: float[V, D], ids: int32[...I] in [0, V); precision: {float32, bfloat16}) -> y: float[...I, D] where D >= 1
//
//   signature  name(inputs; attributes) -> outputs [where condition, condition]
//   input      name: [contiguous] dtype[shape] [in range]   `name?` may be absent; `name if other` is there exactly with the other;
//              `name...` is any number of tensors and comes last. Contiguous: the binding copies it where it is not.
//   dtype      float32, bfloat16, int32, bool, complex64; float (the first two), real (all but complex64), any; of another: other.dtype
//   shape      sizes: a symbol is the same number wherever it stands; sums, products and `input ? a : b` of symbols and numbers.
//              `...S` takes all dimensions that are left, `#S` is the number of its elements, `...` is not compared; `~S` are shapes that
//              broadcast with one another. `S=T`: where the input is absent, S is T.
//   attribute  name: kind [in range]   int, number, bool, text, ints, ints[length], or one of {a, b, c}. An int is a symbol too.
//   range      [a, b], [a, b) or >= a, over symbols and rank(input)
namespace tfjs_torch {

struct Expr {
  enum class Kind : uint8_t { kNumber, kSymbol, kElements, kRank, kAdd, kSubtract, kMultiply, kIfPresent };
  Kind kind = Kind::kNumber;
  int64_t value = 0;  // the number, or the index of a symbol, pack or input
  std::vector<Expr> args;
};

struct Range {
  Expr low;
  std::optional<Expr> high;
  bool isOpen = false;  // the high end is outside
  std::string text;
};

struct Dim {
  enum class Kind : uint8_t { kSize, kPack, kBroadcast, kAnything };
  Kind kind = Kind::kSize;
  Expr size;
  int pack = -1;
};

struct Shape {
  std::vector<Dim> dims;
  int packAt = -1;  // which of dims is no single size
  std::string text;
};

struct TensorArgument {
  std::string name;
  bool isOptional = false, isVariadic = false, isContiguous = false;
  int with = -1;          // present exactly where this input is
  uint8_t dtypes = 0xff;  // bits by DTypeBit
  int dtypeOf = -1;       // the dtype is this input's
  std::string dtypeText;
  std::optional<Shape> shape;  // an output may be declared without
  std::optional<Range> range;
};

struct Attribute {
  enum class Kind : uint8_t { kInt, kNumber, kBool, kText, kInts, kChoice };
  std::string name;
  Kind kind = Kind::kInt;
  std::vector<std::string> choices;
  std::optional<Expr> length;
  std::optional<Range> range;
  int symbol = -1;
};

struct Condition {
  Expr left, right;
  std::string relation, text;
};

struct Signature {
  std::string name, text;
  std::vector<TensorArgument> inputs, outputs;
  std::vector<Attribute> attributes;
  std::vector<Condition> conditions;
  std::vector<std::string> symbols, packs;

  // Where the input is absent, the symbol has this value.
  struct Default {
    size_t input;
    int symbol;
    Expr value;
  };
  std::vector<Default> defaults;

  bool isVariadic() const { return !inputs.empty() && inputs.back().isVariadic; }
};

// Throws where the text is no signature.
Signature parseSignature(std::string_view text);

// As JSON: names, dtypes, shapes and ranges as trees, for src/native.ts and the checks that generate calls.
std::string toJson(const Signature& signature);

}  // namespace tfjs_torch
