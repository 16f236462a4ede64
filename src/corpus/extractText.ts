import { isUtf8 } from "node:buffer";
import { messageOf } from "../base/errors.js";
import type { Rejection } from "./document.js";

/** Why a line gave no text. */
export type TextFault = Pick<Rejection, "cause" | "detail">;

/**
 * The `text` field of a line of JSON, in UTF-8 and unescaped, never empty. Where the field comes twice the last one counts.
 *
 * @param line one line without its newline; a carriage return at its end is white space to JSON
 */
export function extractText(line: Uint8Array): Uint8Array | TextFault {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  // Decoding replaces bad bytes without a word, so they are looked for first.
  if (!isUtf8(bytes)) return fault("invalid-utf8", `byte ${firstBadByte(bytes) + 1} of the line is not UTF-8`);
  const nul = bytes.indexOf(0);
  if (nul >= 0) return fault("nul", `byte ${nul + 1} of the line is a NUL`);
  // A byte taken for a character each, the bytes of UTF-8 go through JSON.parse untouched, which is four times as fast as
  // decoding and encoding them. Only escapes name characters beyond a byte.
  const escaped = bytes.includes("\\u");
  const encoding = escaped ? "utf8" : "latin1";
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString(encoding));
  } catch {
    return fault("invalid-json", `the line is not JSON (${parseError(bytes)})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return fault("not-an-object", `the line is JSON, but ${nameOf(value)}`);
  }
  if (!Object.hasOwn(value, "text")) return fault("missing-text", "the object has no field text");
  const { text } = value as { text: unknown };
  if (typeof text !== "string") return fault("text-not-string", `text is ${nameOf(text)}`);
  if (text === "") return fault("empty-text", "text is empty");
  if (escaped) {
    const nulCharacter = text.indexOf("\0");
    if (nulCharacter >= 0) return fault("nul", `character ${nulCharacter + 1} of text is a NUL`);
    const surrogate = text.search(/\p{Surrogate}/u);
    if (surrogate >= 0) return fault("lone-surrogate", `character ${surrogate + 1} of text is half a surrogate pair`);
  }
  return Buffer.from(text, encoding);
}

function fault(cause: TextFault["cause"], detail: string): TextFault {
  return { cause, detail };
}

/** JSON.parse's own words, which quote the line; that may hold anything, control characters too. */
function parseError(bytes: Buffer): string {
  try {
    JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    return messageOf(error).replace(/\p{Cc}/gu, " ");
  }
  return "unknown";
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
