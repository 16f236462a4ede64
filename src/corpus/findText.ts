/** Where the bytes of a JSON string lie between its quotes. */
export interface StringSpan {
  start: number;
  end: number;
  /** Place of its first backslash, or `end` where it has none. */
  firstEscape: number;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const backslash = 0x5c;
const space = 0x20;

/** The four bytes of `text`, as they are compared. */
const textName = Buffer.from("text").readUInt32LE();

/**
 * Finds the value of `text` in the bytes of an object whose values are all strings, without decoding anything. Quotes and
 * backslashes are found by `indexOf`, which reads several gigabytes a second.
 *
 * @param line UTF-8 without control characters (both for the caller to make sure)
 * @returns the span, whose escapes are not checked; undefined where the line is anything else: other values, white space other
 *   than spaces, escapes in other fields, the field twice or absent, or no JSON at all
 */
export function findText(line: Buffer): StringSpan | undefined {
  let text: StringSpan | undefined;
  let at = skipSpaces(line, 0);
  if (line[at] !== openBrace) return undefined;
  do {
    at = skipSpaces(line, at + 1);
    if (line[at] !== quote) return undefined;
    const name = stringAt(line, at + 1);
    // An escaped name may spell `text`.
    if (name === undefined || name.firstEscape < name.end) return undefined;
    at = skipSpaces(line, name.end + 1);
    if (line[at] !== colon) return undefined;
    at = skipSpaces(line, at + 1);
    if (line[at] !== quote) return undefined;
    const value = stringAt(line, at + 1);
    if (value === undefined) return undefined;
    if (name.end - name.start === 4 && line.readUInt32LE(name.start) === textName) {
      if (text) return undefined;
      text = value;
    } else if (value.firstEscape < value.end) {
      return undefined;
    }
    at = skipSpaces(line, value.end + 1);
  } while (line[at] === comma);
  if (line[at] !== closeBrace || skipSpaces(line, at + 1) !== line.length) return undefined;
  return text;
}

/** The string whose first byte after the quote is at `start`, or undefined where it has no end. */
function stringAt(line: Buffer, start: number): StringSpan | undefined {
  let end = line.indexOf(quote, start);
  if (end < 0) return undefined;
  // Few names and addresses hold an escape, and they are short: no call is needed to see it.
  const firstEscape = end - start < 64 ? firstBackslash(line, start, end) : line.indexOf(backslash, start);
  if (firstEscape < 0 || firstEscape >= end) return { start, end, firstEscape: end };
  while (isEscaped(line, firstEscape, end)) {
    end = line.indexOf(quote, end + 1);
    if (end < 0) return undefined;
  }
  return { start, end, firstEscape };
}

function firstBackslash(line: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && line[at] !== backslash) at++;
  return at;
}

/** Whether the byte at `at` comes after an odd number of backslashes, of which none lies before `first`. */
function isEscaped(line: Buffer, first: number, at: number): boolean {
  let run = at;
  while (run > first && line[run - 1] === backslash) run--;
  return ((at - run) & 1) === 1;
}

function skipSpaces(line: Buffer, at: number): number {
  let next = at;
  while (line[next] === space) next++;
  return next;
}
