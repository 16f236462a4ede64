// Operations as the addon declares them (native/runtime/signature.h), and calls written by those declarations.

/** A number, a symbol of sizes, or an operator with its operands: `["+", "T", -1]`. */
export type SizeExpression = number | string | readonly (string | SizeExpression)[];

/** Values from `low` to `high`, which is outside where `open`; without end where it is null. */
export interface DeclaredRange {
  low: SizeExpression;
  high: SizeExpression | null;
  open: boolean;
}

export interface DeclaredTensor {
  name: string;
  optional: boolean;
  /** Present exactly where this input is. */
  with: string | null;
  /** Any number of tensors, the last of the inputs. */
  variadic: boolean;
  dtypes: string[];
  /** Of the dtype of this input. */
  dtypeOf: string | null;
  /** Null: not declared. */
  shape: SizeExpression[] | null;
  range: DeclaredRange | null;
}

export interface DeclaredAttribute {
  name: string;
  kind: "int" | "number" | "bool" | "text" | "ints" | "choice";
  choices: string[];
  length: SizeExpression | null;
  range: DeclaredRange | null;
}

/** What an operation of the addon takes and gives. */
export interface NativeSignature {
  name: string;
  /** As it is written in C++. */
  text: string;
  inputs: DeclaredTensor[];
  attributes: DeclaredAttribute[];
  outputs: DeclaredTensor[];
  conditions: { relation: string; left: SizeExpression; right: SizeExpression }[];
}

/** The value of an attribute. */
export type AttributeValue = number | boolean | string | readonly number[];

/** Attributes by name; one that is undefined is as if it were not given. */
export type AttributeValues = Readonly<Record<string, AttributeValue | undefined>>;

/** An input of a call: the handle and the logical shape, which may be another than the handle's. */
export interface NativeInput {
  readonly handle: number;
  readonly shape: readonly number[];
}

/** Inputs by name: a tensor, or several where the declaration says `...`. */
export type InputsOf<T> = Readonly<Record<string, T | readonly T[] | null | undefined>>;

function wrong({ name }: NativeSignature, argument: string, why: string): Error {
  return new Error(`${name}: ${argument}: ${why}`);
}

/** Refuses names that are not declared. */
function rejectUnknown(
  signature: NativeSignature,
  kind: string,
  given: object,
  declared: readonly { name: string }[],
): void {
  for (const [name, value] of Object.entries(given)) {
    if (value == null || declared.some((one) => one.name === name)) continue;
    throw wrong(signature, name, `is no ${kind} of ${signature.text}`);
  }
}

function encodeAttribute(
  signature: NativeSignature,
  attribute: DeclaredAttribute,
  value: AttributeValue | undefined,
  to: Float64Array,
  begin: number,
): number {
  const { name, kind, choices } = attribute;
  let at = begin;
  if (value == null) throw wrong(signature, name, "is missing");
  if (kind === "bool" && typeof value === "boolean") to[at++] = value ? 1 : 0;
  else if (kind === "number" && typeof value === "number") to[at++] = value;
  else if (kind === "int" && Number.isInteger(value)) to[at++] = value as number;
  else if (kind === "text" && typeof value === "string") {
    to[at++] = value.length;
    for (let i = 0; i < value.length; i++) to[at++] = value.charCodeAt(i);
  } else if (kind === "ints" && Array.isArray(value)) {
    to[at++] = value.length;
    for (const one of value as unknown[]) {
      if (!Number.isInteger(one)) throw wrong(signature, name, `${String(one)} is no integer`);
      to[at++] = one as number;
    }
  } else if (kind === "choice") {
    const choice = choices.indexOf(value as string);
    if (choice < 0) throw wrong(signature, name, `${JSON.stringify(value)} is none of ${choices.join(", ")}`);
    to[at++] = choice;
  } else {
    throw wrong(signature, name, `${JSON.stringify(value)} is not of the kind ${kind}`);
  }
  return at;
}

/**
 * Writes a call into `to`: native/runtime/call.h reads it. What does not fit is left out.
 *
 * @param device CUDA device number, or -1 for the CPU: where kernels without inputs create their result
 * @param operand the handle of an input; throws where it has none
 * @returns how long the call is
 * @throws Error that names operation and argument where an argument is missing, unknown or of another kind
 */
export function encodeCall<T>(
  signature: NativeSignature,
  device: number,
  inputs: InputsOf<T>,
  attributes: AttributeValues,
  operand: (input: T) => NativeInput,
  to: Float64Array,
): number {
  rejectUnknown(signature, "input", inputs, signature.inputs);
  rejectUnknown(signature, "attribute", attributes, signature.attributes);
  let at = 2;
  let count = 0;
  to[1] = device;
  const countAt = at++;
  const write = (name: string, input: T | undefined | null): void => {
    count++;
    if (input == null) {
      to[at++] = -1;
      to[at++] = 0;
      return;
    }
    let native: NativeInput;
    try {
      native = operand(input);
    } catch (error) {
      throw wrong(signature, name, error instanceof Error ? error.message : String(error));
    }
    to[at++] = native.handle;
    to[at++] = native.shape.length;
    for (const size of native.shape) to[at++] = size;
  };
  for (const { name, optional, with: other, variadic } of signature.inputs) {
    const input = inputs[name];
    if (input == null && !optional && other === null) throw wrong(signature, name, "is missing");
    if (variadic) {
      if (!Array.isArray(input)) throw wrong(signature, name, "is no list of tensors");
      for (const one of input as readonly T[]) {
        if (one == null) throw wrong(signature, name, "a tensor in it is missing");
        write(name, one);
      }
    } else {
      if (Array.isArray(input)) throw wrong(signature, name, "is a list, not a tensor");
      write(name, input as T | undefined);
    }
  }
  to[countAt] = count;
  for (const attribute of signature.attributes) {
    at = encodeAttribute(signature, attribute, attributes[attribute.name], to, at);
  }
  to[0] = at;
  return at;
}
