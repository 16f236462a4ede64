import { isUtf8 } from "node:buffer";
import { messageOf } from "../../base/errors.js";
import type { Rejection } from "./document.js";

/** Why a line gave no text. */
export type TextFault = Pick<Rejection, "cause" | "detail">;

/** A text-to-text example in UTF-8. */
export interface TextPair {
  text: Uint8Array;
  targets: Uint8Array;
}

/**
 * The text of a line of JSON by way of `JSON.parse`: what defines the result of `TextFinder`, and its way out wherever
 * a line is unusual.
 *
 * @param line one line without its newline; left as it is
 * @param field of the object, `text` in mC4
 * @returns the text in UTF-8, unescaped, never empty; of a field that comes twice the last one
 */
export function parseText(line: Uint8Array, field: string): Uint8Array | TextFault {
  const object = parseObject(line);
  return isFault(object) ? object : textOf(object, field, "--text-field");
}

/** The two texts of a line of JSON that holds a text-to-text pair, as `parseText` gives one. */
export function parsePair(line: Uint8Array, inputsField: string, targetsField: string): TextPair | TextFault {
  const object = parseObject(line);
  if (isFault(object)) return object;
  const text = textOf(object, inputsField, "--inputs-field");
  if (!(text instanceof Uint8Array)) return text;
  const targets = textOf(object, targetsField, "--targets-field");
  return targets instanceof Uint8Array ? { text, targets } : targets;
}

/** Whether a line gave a fault in place of what was looked for. */
export function isFault(found: object): found is TextFault {
  return "cause" in found && "detail" in found && typeof found.cause === "string";
}

/** The object of a line of JSON, under a name that none of its own keys can be taken for. */
function parseObject(line: Uint8Array): { object: Record<string, unknown> } | TextFault {
  const bytes = checkText(line);
  if (!(bytes instanceof Uint8Array)) return bytes;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    // JSON.parse quotes the line, which may hold anything, control characters too.
    return textFault("invalid-json", `the line is not JSON (${messageOf(error).replace(/\p{Cc}/gu, " ")})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return textFault("not-an-object", `the line is JSON, but ${nameOf(value)}`);
  }
  return { object: value as Record<string, unknown> };
}

function textOf({ object }: { object: Record<string, unknown> }, field: string, flag: string): Uint8Array | TextFault {
  if (!Object.hasOwn(object, field)) {
    const there = Object.keys(object).slice(0, 8).join(", ");
    return textFault(
      "missing-text",
      `the object has no field ${field}; ${flag} names another: ${there || "it has none"}`,
    );
  }
  const text = object[field];
  if (typeof text !== "string") return textFault("text-not-string", `${field} is ${nameOf(text)}`);
  if (text === "") return textFault("empty-text", `${field} is empty`);
  const nulCharacter = text.indexOf("\0");
  if (nulCharacter >= 0) return textFault("nul", `character ${nulCharacter + 1} of text is a NUL`);
  const surrogate = text.search(/\p{Surrogate}/u);
  if (surrogate >= 0) return textFault("lone-surrogate", `character ${surrogate + 1} of text is half a surrogate pair`);
  return Buffer.from(text);
}

/** Text as it stands in a file: its bytes, where they are UTF-8 without NUL. */
export function checkText(text: Uint8Array): Buffer | TextFault {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  // Decoding replaces bad bytes without a word, so they are looked for first.
  if (!isUtf8(bytes)) return textFault("invalid-utf8", `byte ${firstBadByte(bytes) + 1} of the line is not UTF-8`);
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : textFault("nul", `byte ${nul + 1} of the line is a NUL`);
}

export function textFault(cause: TextFault["cause"], detail: string): TextFault {
  return { cause, detail };
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Offset of the first byte that decoding would replace. */
function firstBadByte(bytes: Buffer): number {
  const decoded = Buffer.from(bytes.toString("utf8"), "utf8");
  const end = Math.min(bytes.length, decoded.length);
  for (let i = 0; i < end; i++) if (bytes[i] !== decoded[i]) return i;
  return end;
}
