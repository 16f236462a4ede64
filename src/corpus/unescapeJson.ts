import type { StringSpan } from "./findText.js";

const backslash = 0x5c;
const letterU = 0x75;
/** Bytes copied one by one before a call is worth its price. */
const shortRun = 24;

/** What the byte after a backslash stands for; 0 where it stands for nothing (`u` is not among them). */
const simpleEscapes = new Uint8Array(256);
for (const [letter, byte] of Object.entries({ n: 10, r: 13, t: 9, b: 8, f: 12, '"': 34, "\\": 92, "/": 47 })) {
  simpleEscapes[letter.charCodeAt(0)] = byte;
}

/** Values of hexadecimal digits; 255 for what is none. */
const hexDigits = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  hexDigits[digit.toString(16).charCodeAt(0)] = digit;
  hexDigits[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

/** What was met that is no text, and up to where the text was written before it. */
export interface EscapeFault {
  cause: "bad-escape" | "nul" | "lone-surrogate";
  /** Place of the backslash. */
  at: number;
  writtenTo: number;
}

/**
 * Unescapes a JSON string where it lies, which is never longer afterwards. Runs without a backslash are found by `indexOf` and
 * moved whole.
 *
 * @param span a string with at least one backslash
 * @returns where the unescaped text ends; it begins where the string began
 */
export function unescapeJson(bytes: Buffer, { end, firstEscape }: StringSpan): number | EscapeFault {
  let from = firstEscape;
  let to = firstEscape;
  while (from < end) {
    const simple = simpleEscapes[bytes[from + 1]];
    if (simple !== 0) {
      bytes[to++] = simple;
      from += 2;
    } else {
      const unit = codeUnitAt(bytes, from, end);
      if (unit < 0) return { cause: "bad-escape", at: from, writtenTo: to };
      if (unit === 0) return { cause: "nul", at: from, writtenTo: to };
      let codePoint = unit;
      if (unit >= 0xd800 && unit < 0xe000) {
        const low = unit < 0xdc00 ? codeUnitAt(bytes, from + 6, end) : -1;
        if (low < 0xdc00 || low >= 0xe000) return { cause: "lone-surrogate", at: from, writtenTo: to };
        codePoint = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        from += 6;
      }
      to = writeUtf8(bytes, to, codePoint);
      from += 6;
    }
    const soon = Math.min(from + shortRun, end);
    while (from < soon && bytes[from] !== backslash) bytes[to++] = bytes[from++];
    if (from === end || bytes[from] === backslash) continue;
    const next = bytes.indexOf(backslash, from);
    const stop = next < 0 || next > end ? end : next;
    bytes.copyWithin(to, from, stop);
    to += stop - from;
    from = stop;
  }
  return to;
}

/** The code unit of `\uXXXX` at `at`, or -1 where there is none. */
function codeUnitAt(bytes: Buffer, at: number, end: number): number {
  if (at + 6 > end || bytes[at] !== backslash || bytes[at + 1] !== letterU) return -1;
  const [a, b] = [hexDigits[bytes[at + 2]], hexDigits[bytes[at + 3]]];
  const [c, d] = [hexDigits[bytes[at + 4]], hexDigits[bytes[at + 5]]];
  if ((a | b | c | d) > 15) return -1;
  return (a << 12) | (b << 8) | (c << 4) | d;
}

function writeUtf8(bytes: Buffer, at: number, codePoint: number): number {
  let to = at;
  if (codePoint < 0x80) {
    bytes[to++] = codePoint;
    return to;
  }
  if (codePoint < 0x800) {
    bytes[to++] = 0xc0 | (codePoint >> 6);
  } else {
    if (codePoint < 0x10000) {
      bytes[to++] = 0xe0 | (codePoint >> 12);
    } else {
      bytes[to++] = 0xf0 | (codePoint >> 18);
      bytes[to++] = 0x80 | ((codePoint >> 12) & 0x3f);
    }
    bytes[to++] = 0x80 | ((codePoint >> 6) & 0x3f);
  }
  bytes[to++] = 0x80 | (codePoint & 0x3f);
  return to;
}
