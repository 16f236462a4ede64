// Random calls that fit an operation's declaration, with small sizes.
import { evaluate, limitsOf, newSizes, sizesOf } from "./declaration.mjs";
import { recipes } from "./recipes.mjs";

/** Random integers by a seed: mulberry32. */
export class Random {
  #state;
  constructor(seed) {
    this.#state = seed >>> 0;
  }
  /** In [0, 1). */
  unit() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  /** From `low` to `high`, both within. */
  int(low, high) {
    return low + Math.floor(this.unit() * (high - low + 1));
  }
  one(list) {
    return list[this.int(0, list.length - 1)];
  }
  sizes(low, high) {
    return Array.from({ length: this.int(low, high) }, () => this.int(1, 3));
  }
}

const largestSize = 3;
export const elementsOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** Values of a tensor: indices within its range, else small numbers. */
export function valuesOf(random, dtype, shape, limits = [0, 1]) {
  const count = elementsOf(shape) * (dtype === "complex64" ? 2 : 1);
  const integer = dtype === "int32" || dtype === "bool";
  return Array.from({ length: count }, () =>
    integer ? random.int(limits[0], Math.min(limits[1], limits[0] + 5)) : 0.1 + 0.9 * random.unit(),
  );
}

const symbolsIn = (expression) =>
  typeof expression === "string"
    ? [expression]
    : Array.isArray(expression)
      ? expression
          .slice(expression[0] === "rank" || expression[0] === "#" || expression[0] === "?" ? 2 : 1)
          .flatMap(symbolsIn)
      : [];

function shapeOf(random, declared, sizes) {
  return declared.flatMap((dimension) => {
    const [kind, name] = Array.isArray(dimension) ? dimension : [];
    if (kind !== "..." && kind !== "~") return [evaluate(dimension, sizes)];
    if (name === undefined) return random.sizes(0, 2);
    if (!sizes.packs.has(name)) sizes.packs.set(name, random.sizes(0, 2));
    const pack = sizes.packs.get(name);
    return kind === "..." ? pack : pack.map((size) => (random.int(0, 3) === 0 ? 1 : size));
  });
}

function attributeOf(random, { kind, choices, length, range }, sizes) {
  const within = () => {
    const [low, high] = range === null ? [0, 2] : limitsOf(range, sizes);
    return random.int(low, Math.min(high, low + 2));
  };
  switch (kind) {
    case "int":
      return within();
    case "number":
      return 0.1 + 0.8 * random.unit();
    case "bool":
      return random.int(0, 1) === 1;
    case "choice":
      return random.one(choices);
    case "text":
      return "";
    default: {
      const count = length === null ? random.int(0, 2) : evaluate(length, sizes);
      return Array.from({ length: Math.max(0, count) }, within);
    }
  }
}

/** A call that may fit the declaration: its symbols are drawn apart from its conditions. */
function draw(random, signature) {
  const call = { inputs: {}, attributes: {} };
  const sizes = newSizes(call);
  const { inputs, attributes, conditions } = signature;
  const written = [
    ...inputs.flatMap(({ shape }) => shape),
    ...conditions.flatMap(({ left, right }) => [left, right]),
    ...inputs.flatMap(({ range }) => (range === null ? [] : [range.low, range.high ?? 0])),
  ];
  for (const symbol of written.flatMap((expression) =>
    Array.isArray(expression) && ["...", "~"].includes(expression[0]) ? [] : symbolsIn(expression),
  )) {
    if (!sizes.symbols.has(symbol)) sizes.symbols.set(symbol, random.int(1, largestSize));
  }
  for (const { name, optional, with: other } of inputs) {
    if (other === null ? !optional || random.int(0, 1) === 1 : call.inputs[other] !== undefined)
      call.inputs[name] = null;
  }
  for (const { name, optional, dtypes, dtypeOf, shape, variadic } of inputs) {
    if (call.inputs[name] === undefined) continue;
    const dtype = dtypeOf === null ? random.one(dtypes) : call.inputs[dtypeOf].dtype;
    const one = () => ({ dtype, shape: shapeOf(random, shape, sizes), optional });
    call.inputs[name] = variadic ? Array.from({ length: random.int(1, 3) }, one) : one();
  }
  for (const attribute of attributes) {
    const known = attribute.kind === "int" ? sizes.symbols.get(attribute.name) : undefined;
    call.attributes[attribute.name] = known ?? attributeOf(random, attribute, sizes);
    if (attribute.kind === "int") sizes.symbols.set(attribute.name, call.attributes[attribute.name]);
  }
  recipes[signature.name]?.(call, random);
  for (const { name, range } of inputs) {
    for (const tensor of [call.inputs[name] ?? []].flat()) {
      const limits = range === null ? undefined : limitsOf(range, sizes);
      tensor.values ??= valuesOf(random, tensor.dtype, tensor.shape, limits);
    }
  }
  return call;
}

/** A random call that fits the declaration; null where this draw does not. */
export function validCall(random, signature) {
  const call = draw(random, signature);
  return sizesOf(signature, call) === null ? null : call;
}
