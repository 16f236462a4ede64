// A second reading of the declarations (native/runtime/signature.h), apart from the binding's (native/runtime/check.cc): whether a
// call fits its operation's declaration. It decides which changed calls are wrong.
//
// A call: { inputs: { name: tensor | tensor[] }, attributes: { name: value } }; a tensor: { dtype, shape, values }.

/** All tensors of a call that are given under an input's name. */
export const tensorsOf = (call, { name }) => (call.inputs[name] === undefined ? [] : [call.inputs[name]].flat());

/** What sizes are in a call: symbols, packs of dimensions, and the call itself for ranks and presence. */
export function newSizes(call) {
  return { symbols: new Map(), packs: new Map(), call };
}

/** The number that an expression is, or undefined where a symbol in it is not known. */
export function evaluate(expression, sizes) {
  if (typeof expression === "number") return expression;
  if (typeof expression === "string") return sizes.symbols.get(expression);
  const [operator, ...operands] = expression;
  if (operator === "#") return sizes.packs.get(operands[0])?.reduce((a, b) => a * b, 1);
  if (operator === "rank") return [sizes.call.inputs[operands[0]]].flat()[0]?.shape.length;
  if (operator === "?") {
    return evaluate(operands[sizes.call.inputs[operands[0]] === undefined ? 2 : 1], sizes);
  }
  const [a, b] = operands.map((operand) => evaluate(operand, sizes));
  if (a === undefined || b === undefined) return undefined;
  return operator === "+" ? a + b : operator === "-" ? a - b : a * b;
}

/** Gives the one unknown symbol of a product its value. False: it has none that is whole. */
function solve(expression, value, sizes) {
  if (typeof expression === "string") {
    sizes.symbols.set(expression, value);
    return true;
  }
  if (!Array.isArray(expression)) return false;
  if (expression[0] === "?") {
    return solve(expression[sizes.call.inputs[expression[1]] === undefined ? 3 : 2], value, sizes);
  }
  if (expression[0] !== "*") return false;
  for (const side of [1, 2]) {
    const known = evaluate(expression[3 - side], sizes);
    if (known === undefined || evaluate(expression[side], sizes) !== undefined) continue;
    if (known === 0) return value === 0 && solve(expression[side], 0, sizes);
    return value % known === 0 && solve(expression[side], value / known, sizes);
  }
  return false;
}

/** `S=L` of an optional input: what a symbol is where the input is absent. */
function defaultsOf(signature, input) {
  const shape = new RegExp(`\\b${input.name}\\?: \\w+\\[([^\\]]*)\\]`).exec(signature.text)?.[1] ?? "";
  return [...shape.matchAll(/(\w+)=(\w+)/g)].map(([, symbol, value]) => [symbol, value]);
}

const isPack = (dimension) => Array.isArray(dimension) && (dimension[0] === "..." || dimension[0] === "~");

function matchPack([kind, name], part, sizes) {
  if (name === undefined) return true;
  const known = sizes.packs.get(name);
  if (known === undefined) {
    sizes.packs.set(name, part);
    return true;
  }
  if (kind === "...") return known.length === part.length && known.every((size, d) => size === part[d]);
  const rank = Math.max(known.length, part.length);
  const merged = [];
  for (let i = 1; i <= rank; i++) {
    const a = known.at(-i) ?? 1;
    const b = part.at(-i) ?? 1;
    if (a !== b && a !== 1 && b !== 1) return false;
    merged.unshift(a === 1 ? b : a);
  }
  sizes.packs.set(name, merged);
  return true;
}

/** Sizes of single dimensions as equations `[expression, size]`; null where a rank or a pack is wrong. */
function equationsOf(shape, actual, sizes) {
  const at = shape.findIndex(isPack);
  if (at < 0 ? actual.length !== shape.length : actual.length < shape.length - 1) return null;
  if (at < 0) return shape.map((expression, d) => [expression, actual[d]]);
  const after = shape.length - 1 - at;
  const end = actual.length - after;
  if (!matchPack(shape[at], actual.slice(at, end), sizes)) return null;
  return [
    ...shape.slice(0, at).map((expression, d) => [expression, actual[d]]),
    ...shape.slice(at + 1).map((expression, d) => [expression, actual[end + d]]),
  ];
}

/** Whether all equations can hold; those with unknown symbols are solved. */
function holdAll(equations, sizes) {
  let open = equations;
  for (;;) {
    const next = [];
    for (const [expression, size] of open) {
      const value = evaluate(expression, sizes);
      if (value === undefined) {
        if (typeof expression === "string") sizes.symbols.set(expression, size);
        else next.push([expression, size]);
      } else if (value !== size) return false;
    }
    if (next.length === 0) return true;
    if (next.length === open.length && !next.some(([expression, size]) => solve(expression, size, sizes))) return false;
    open = next;
  }
}

const relations = {
  "=": (a, b) => a === b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
};

/** The least and the greatest integer of a range. */
export function limitsOf(range, sizes) {
  const high = range.high === null ? Number.POSITIVE_INFINITY : evaluate(range.high, sizes);
  return [evaluate(range.low, sizes), range.open ? high - 1 : high];
}

const isWithin = (values, range, sizes) => {
  const [low, high] = limitsOf(range, sizes);
  return values.every((value) => value >= low && value <= high);
};

/** The sizes of a call that fits its declaration, as far as shapes, dtypes, ranges and conditions say; else null. */
export function sizesOf(signature, call) {
  const sizes = newSizes(call);
  const { attributes, inputs } = signature;
  for (const { name, kind } of attributes) if (kind === "int") sizes.symbols.set(name, call.attributes[name]);
  const equations = [];
  for (const input of inputs) {
    if (input.with !== null && (call.inputs[input.name] === undefined) !== (call.inputs[input.with] === undefined)) {
      return null;
    }
    for (const { shape, dtype } of tensorsOf(call, input)) {
      if (!(input.dtypeOf === null ? input.dtypes.includes(dtype) : dtype === call.inputs[input.dtypeOf].dtype))
        return null;
      const found = equationsOf(input.shape, shape, sizes);
      if (found === null) return null;
      equations.push(...found);
    }
  }
  if (
    !holdAll(
      equations.filter(([expression]) => typeof expression === "string"),
      sizes,
    )
  )
    return null;
  for (const input of inputs) {
    if (call.inputs[input.name] !== undefined) continue;
    for (const [symbol, value] of defaultsOf(signature, input)) sizes.symbols.set(symbol, sizes.symbols.get(value));
  }
  if (!holdAll(equations, sizes)) return null;
  for (const { relation, left, right } of signature.conditions) {
    const value = evaluate(left, sizes);
    if (relation === "=" && evaluate(right, sizes) === undefined && !solve(right, value, sizes)) return null;
    if (!relations[relation](value, evaluate(right, sizes))) return null;
  }
  for (const { name, kind, length, range } of attributes) {
    const values = [call.attributes[name]].flat();
    if (kind === "ints" && length !== null && values.length !== evaluate(length, sizes)) return null;
    if (range !== null && !isWithin(values, range, sizes)) return null;
  }
  for (const input of inputs) {
    if (input.range === null) continue;
    if (!tensorsOf(call, input).every(({ values }) => isWithin(values, input.range, sizes))) return null;
  }
  return sizes;
}
