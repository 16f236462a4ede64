// Changes of a valid call, one thing at a time. Each gives { call, argument }: the argument that the error must name, or null where
// the declaration lets the error name any argument that the changed one disagrees with; or undefined where it does not apply.
import { evaluate, limitsOf, sizesOf, tensorsOf } from "./declaration.mjs";
import { elementsOf, valuesOf } from "./validCall.mjs";

const dtypes = ["float32", "bfloat16", "int32", "bool", "complex64"];
const other = { dtype: "float32", shape: [2], values: [0.5, 0.5] };

const withInput = (call, name, value) => ({ ...call, inputs: { ...call.inputs, [name]: value } });
const withAttribute = (call, name, value) => ({ ...call, attributes: { ...call.attributes, [name]: value } });

/** Replaces one tensor of the call by what `change` makes of it. */
function changeTensor(random, signature, call, applies, change) {
  const candidates = signature.inputs.filter((input) => applies(input) && tensorsOf(call, input).length > 0);
  if (candidates.length === 0) return undefined;
  const input = random.one(candidates);
  const all = tensorsOf(call, input);
  const at = random.int(0, all.length - 1);
  const changed = change(all[at], input);
  if (changed === undefined) return undefined;
  const value = input.variadic ? all.map((tensor, i) => (i === at ? changed : tensor)) : changed;
  return { input, call: withInput(call, input.name, value) };
}

/** The same tensor with another shape: its indices stay within what they were. */
function reshaped(random, tensor, shape) {
  const { dtype, values } = tensor;
  const count = elementsOf(shape) * (dtype === "complex64" ? 2 : 1);
  const some = values.length > 0 ? values : valuesOf(random, dtype, [4]);
  return { ...tensor, shape, values: Array.from({ length: count }, (_, i) => some[i % some.length]) };
}

function changeSize(random, signature, call) {
  return changeTensor(
    random,
    signature,
    call,
    ({ shape }) => shape.length > 0,
    (tensor) => {
      if (tensor.shape.length === 0) return undefined;
      const d = random.int(0, tensor.shape.length - 1);
      const size = tensor.shape[d];
      const next = random.one([0, size + 1, Math.max(0, size - 1), size * 2, 7].filter((one) => one !== size));
      return reshaped(random, tensor, tensor.shape.with(d, next));
    },
  );
}

function changeRank(random, signature, call) {
  return changeTensor(
    random,
    signature,
    call,
    () => true,
    (tensor) => {
      const at = random.int(0, tensor.shape.length);
      const grows = tensor.shape.length === 0 || random.int(0, 1) === 1;
      const [deleted, added] = grows ? [0, random.one([[1], [2], [1, 2]])] : [1, []];
      return reshaped(
        random,
        tensor,
        tensor.shape.toSpliced(Math.min(at, tensor.shape.length - deleted), deleted, ...added),
      );
    },
  );
}

const wrongValues = {
  int: [1.5, "1", true, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40, [1], null],
  number: ["1", true, [1], {}, null],
  bool: [1, 0, "true", [true], null],
  text: [1, true, ["a"], null],
  ints: [1, "1", ["1"], [1.5], [Number.NaN], [2 ** 60], [true], null],
  choice: ["no such choice", 0, true, ["float32"], null],
};

/** Changes that no declaration allows: the error names the argument. */
const alwaysWrong = {
  "missing input": (random, signature, call) => {
    const needed = signature.inputs.filter(({ optional, with: pair }) => !optional && pair === null);
    if (needed.length === 0) return undefined;
    const { name } = random.one(needed);
    return { call: withInput(call, name, random.one([undefined, null])), argument: name };
  },
  "unknown input": (_random, _signature, call) => ({
    call: withInput(call, "noSuchInput", other),
    argument: "noSuchInput",
  }),
  "input without its pair": (random, signature, call) => {
    const paired = signature.inputs.filter((input) => input.with !== null);
    if (paired.length === 0) return undefined;
    const { name } = random.one(paired);
    return { call: withInput(call, name, call.inputs[name] === undefined ? other : undefined), argument: name };
  },
  "list or tensor": (random, signature, call) => {
    const given = signature.inputs.filter((input) => call.inputs[input.name] !== undefined);
    if (given.length === 0) return undefined;
    const { name, variadic } = random.one(given);
    const value = call.inputs[name];
    return { call: withInput(call, name, variadic ? random.one([value[0], [null]]) : [value]), argument: name };
  },
  "unknown attribute": (random, _signature, call) => ({
    call: withAttribute(call, "noSuchAttribute", random.one([0, 1.5, "x", true, [1]])),
    argument: "noSuchAttribute",
  }),
  "attribute of another kind": (random, { attributes }, call) => {
    if (attributes.length === 0) return undefined;
    const { name, kind } = random.one(attributes);
    return { call: withAttribute(call, name, random.one(wrongValues[kind])), argument: name };
  },
  "attribute out of range": (random, signature, call) => {
    const sizes = sizesOf(signature, call);
    const ranged = signature.attributes.filter(({ range, length }) => range !== null || length !== null);
    if (ranged.length === 0) return undefined;
    const { name, kind, range, length } = random.one(ranged);
    const value = call.attributes[name];
    if (length !== null && (range === null || random.int(0, 1) === 1)) {
      const longer = [...value, value[0] ?? 1];
      return {
        call: withAttribute(call, name, random.one(value.length > 0 ? [longer, value.slice(1), []] : [longer])),
        argument: name,
      };
    }
    const [low, high] = limitsOf(range, sizes);
    const wrong = random.one([low - 1, low - 1000, ...(Number.isFinite(high) ? [high + 1, high + 1000] : [])]);
    if (kind !== "ints") return { call: withAttribute(call, name, wrong), argument: name };
    if (value.length === 0)
      return length === null ? { call: withAttribute(call, name, [wrong]), argument: name } : undefined;
    return { call: withAttribute(call, name, value.with(random.int(0, value.length - 1), wrong)), argument: name };
  },
  dtype: (random, signature, call) => {
    const wrongFor = ({ dtypes: allowed, dtypeOf }) => {
      const fitting = dtypeOf === null ? allowed : [call.inputs[dtypeOf].dtype];
      return dtypes.filter((dtype) => !fitting.includes(dtype));
    };
    const changed = changeTensor(
      random,
      signature,
      call,
      (input) => wrongFor(input).length > 0,
      (tensor, input) => {
        const dtype = random.one(wrongFor(input));
        return { ...tensor, dtype, values: valuesOf(random, dtype, tensor.shape) };
      },
    );
    return changed && { call: changed.call, argument: changed.input.name };
  },
  "index out of range": (random, signature, call) => {
    const sizes = sizesOf(signature, call);
    const changed = changeTensor(
      random,
      signature,
      call,
      ({ range }) => range !== null,
      (tensor, { range }) => {
        if (tensor.values.length === 0) return undefined;
        const [low, high] = limitsOf(range, sizes);
        const value = random.one(
          [low - 1, high + 1, high + 1000, -(2 ** 31), 2 ** 31 - 1].filter((one) => one < low || one > high),
        );
        return { ...tensor, values: tensor.values.with(random.int(0, tensor.values.length - 1), value) };
      },
    );
    return changed && { call: changed.call, argument: changed.input.name };
  },
  "released tensor": (random, signature, call) => {
    const handle = random.one(["released", -2, 2 ** 30]);
    const changed = changeTensor(
      random,
      signature,
      call,
      () => true,
      (tensor) => ({ ...tensor, handle }),
    );
    return changed && { call: changed.call, argument: changed.input.name };
  },
  "shape of other elements": (random, signature, call) => {
    const changed = changeTensor(
      random,
      signature,
      call,
      () => true,
      (tensor) => ({
        ...tensor,
        view: random
          .one([[...tensor.shape, elementsOf(tensor.shape) === 0 ? 0 : 2], [elementsOf(tensor.shape) + 1], [2 ** 40]])
          .map((size) => (size === 0 ? 5 : size)),
      }),
    );
    if (
      changed === undefined ||
      tensorsOf(changed.call, changed.input).some(({ view, shape }) => view && elementsOf(view) === elementsOf(shape))
    )
      return undefined;
    return { call: changed.call, argument: changed.input.name };
  },
};

/** Changes that a declaration may allow: the second reading of the declaration says which are wrong. */
const maybeWrong = {
  size: changeSize,
  rank: changeRank,
  "attribute's value": (random, { attributes }, call) => {
    if (attributes.length === 0) return undefined;
    const { name, kind, choices, length } = random.one(attributes);
    const value = call.attributes[name];
    const next = {
      int: () => Math.max(0, value + random.one([-2, -1, 1, 2, 5])),
      number: () => random.one([0, -1, 1e30, Number.NaN, Number.POSITIVE_INFINITY]),
      bool: () => !value,
      text: () => random.one(["", "ab", "ij,jk->ik", "a...,b->", "->", "\u0001", "a".repeat(200)]),
      choice: () => random.one(choices),
      ints: () => {
        const list = [...value];
        if (length === null && random.int(0, 1) === 1)
          return random.int(0, 1) === 1 ? [...list, random.int(0, 6)] : list.slice(1);
        return list.length === 0 ? list : list.with(random.int(0, list.length - 1), random.int(-2, 6));
      },
    };
    return { call: withAttribute(call, name, next[kind]()) };
  },
  "dtype of the declaration": (random, signature, call) =>
    changeTensor(
      random,
      signature,
      call,
      () => true,
      (tensor, { dtypes: allowed }) => {
        const dtype = random.one(allowed);
        return { ...tensor, dtype, values: valuesOf(random, dtype, tensor.shape) };
      },
    ),
  "values without a range": (random, signature, call) =>
    changeTensor(
      random,
      signature,
      call,
      ({ range, dtypes: allowed }) => range === null && allowed.includes("int32"),
      (tensor) => {
        if (tensor.dtype !== "int32") return undefined;
        return { ...tensor, values: tensor.values.map(() => random.one([-1, 0, 1, 5, 1000, -(2 ** 31), 2 ** 31 - 1])) };
      },
    ),
  "no tensors": (_random, { inputs }, call) => {
    const last = inputs.at(-1);
    return last?.variadic ? { call: withInput(call, last.name, []) } : undefined;
  },
};

/** A changed call whose error must name `argument` (null: any argument of the declaration). */
export function wrongCall(random, signature, call) {
  for (;;) {
    const isAlways = random.int(0, 1) === 1;
    const change = random.one(Object.keys(isAlways ? alwaysWrong : maybeWrong));
    const changed = (isAlways ? alwaysWrong : maybeWrong)[change](random, signature, call);
    if (changed === undefined || (!isAlways && fits(signature, changed.call))) continue;
    return { change, call: changed.call, argument: changed.argument ?? null };
  }
}

/** A changed call that the declaration does not refuse, valid or not; undefined where this draw is none. */
export function openCall(random, signature, call) {
  const change = random.one(Object.keys(maybeWrong));
  const changed = maybeWrong[change](random, signature, call);
  return changed !== undefined && fits(signature, changed.call) ? { change, call: changed.call } : undefined;
}

function fits(signature, call) {
  const hasNoRank = signature.attributes.some(
    ({ range }) => range !== null && evaluate(range.low, { call, symbols: new Map(), packs: new Map() }) === undefined,
  );
  return !hasNoRank && sizesOf(signature, call) !== null;
}
