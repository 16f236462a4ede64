import { isUtf8 } from "node:buffer";
import { findText } from "./findText.js";
import { parseText, type TextFault, textFault } from "./parseText.js";
import { type EscapeFault, unescapeJson } from "./unescapeJson.js";

/**
 * The `text` field of a line of JSON, in UTF-8 and unescaped, never empty: what `parseText` finds, but out of the bytes as they
 * are. No string is made of a line that is an object of strings, as mC4's are; any other line is left to `parseText`.
 *
 * @param line one line without its newline; the text is unescaped in its bytes, which are then no longer what they were
 */
export function extractText(line: Uint8Array): Uint8Array | TextFault {
  let length = line.length;
  // To JSON white space, and found in every line where lines end as in Windows.
  while (line[length - 1] === 0x0d) length--;
  const bytes = Buffer.from(line.buffer, line.byteOffset, length);
  if (hasControl(bytes) || !isUtf8(bytes)) return parseText(bytes);
  const span = findText(bytes);
  if (span === undefined || span.start === span.end) return parseText(bytes);
  const { start, end, firstEscape } = span;
  const textEnd = firstEscape === end ? end : unescapeJson(bytes, span);
  return typeof textEnd === "number" ? bytes.subarray(start, textEnd) : faultOf(bytes, start, textEnd);
}

function faultOf(bytes: Buffer, start: number, { cause, at, writtenTo }: EscapeFault): TextFault {
  if (cause === "bad-escape")
    return textFault("invalid-json", `the line is not JSON (bad escape at its byte ${at + 1})`);
  const character = bytes.toString("utf8", start, writtenTo).length + 1;
  if (cause === "nul") return textFault("nul", `character ${character} of text is a NUL`);
  return textFault("lone-surrogate", `character ${character} of text is half a surrogate pair`);
}

/**
 * Whether a byte is below 0x20, four bytes at a time: taking 0x20 from each sets the top bit of those that were less, and of those
 * that had it set before (Anderson, "Bit Twiddling Hacks", hasless).
 */
function hasControl(bytes: Buffer): boolean {
  const { buffer, byteOffset, length } = bytes;
  const head = Math.min(length, -byteOffset & 3);
  const words = (length - head) >> 2;
  if (words > 0) {
    const view = new Int32Array(buffer, byteOffset + head, words);
    for (let i = 0; i < words; i++) {
      const word = view[i];
      if (((word - 0x20202020) & ~word & 0x80808080) !== 0) return true;
    }
  }
  for (let i = 0; i < head; i++) if (bytes[i] < 0x20) return true;
  for (let i = head + 4 * words; i < length; i++) if (bytes[i] < 0x20) return true;
  return false;
}
