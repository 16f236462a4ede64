import { isPlain } from "./plainBytes";

const quote: u32 = 0x22;
const comma: u32 = 0x2c;
const colon: u32 = 0x3a;
const openBrace: u32 = 0x7b;
const closeBrace: u32 = 0x7d;
const backslash: u32 = 0x5c;
const space: u32 = 0x20;
const letterU: u32 = 0x75;
/** The field whose value is the text. */
const maxFieldBytes: usize = 1024;
const field: usize = memory.data(<i32>maxFieldBytes, 16);
let fieldLength: usize = 0;

/** Where the host puts the name of the field, of at most 1024 bytes. */
export function fieldAt(length: usize): usize {
  fieldLength = min(length, maxFieldBytes);
  return field;
}

/** By the byte after a backslash what it stands for; 0 where that is nothing (`u` is not among them). */
const simpleEscapes: usize = memory.data(256, 16);
/** Values of hexadecimal digits; 255 for what is none. */
const hexDigits: usize = memory.data(256, 16);

store<u8>(simpleEscapes, 10, 0x6e);
store<u8>(simpleEscapes, 13, 0x72);
store<u8>(simpleEscapes, 9, 0x74);
store<u8>(simpleEscapes, 8, 0x62);
store<u8>(simpleEscapes, 12, 0x66);
store<u8>(simpleEscapes, 34, 0x22);
store<u8>(simpleEscapes, 92, 0x5c);
store<u8>(simpleEscapes, 47, 0x2f);
memory.fill(hexDigits, 255, 256);
for (let digit: usize = 0; digit < 10; digit++) store<u8>(hexDigits + 48 + digit, <u8>digit);
for (let digit: usize = 10; digit < 16; digit++) {
  store<u8>(hexDigits + 65 - 10 + digit, <u8>digit);
  store<u8>(hexDigits + 97 - 10 + digit, <u8>digit);
}

/** Where the last text ends that `findText` or `copyText` wrote, and what follows its closing quote. */
export let textEnd: usize = 0;
let next: usize = 0;

/**
 * Finds the value of the field in a line that is an object whose values are all strings, and writes it to `to`, unescaped, with up to 16 bytes
 * behind it. Sets `textEnd`.
 *
 * @returns false where the line is anything else, and be it that it is only written in another way: other values, white space other
 *   than spaces, escapes in other fields, the field empty, twice or absent, halves of surrogate pairs, NUL, control characters, no
 *   UTF-8, no JSON at all
 */
export function findText(line: usize, end: usize, to: usize): bool {
  if (!isPlain(line, end)) return false;
  let found = false;
  let p = skipSpaces(line);
  if (p >= end || load<u8>(p) !== openBrace) return false;
  do {
    p = skipSpaces(p + 1);
    if (p >= end || load<u8>(p) !== quote) return false;
    const name = p + 1;
    p = special(name);
    // An escaped name may spell the field's.
    if (p >= end || load<u8>(p) !== quote) return false;
    const isText = p - name === fieldLength && memory.compare(name, field, fieldLength) === 0;
    p = skipSpaces(p + 1);
    if (p >= end || load<u8>(p) !== colon) return false;
    p = skipSpaces(p + 1);
    if (p >= end || load<u8>(p) !== quote) return false;
    if (isText) {
      if (found || !copyText(p + 1, end, to)) return false;
      found = true;
      p = next;
    } else {
      p = special(p + 1);
      if (p >= end || load<u8>(p) !== quote) return false;
      p++;
    }
    p = skipSpaces(p);
  } while (p < end && load<u8>(p) === comma);
  return found && textEnd > to && p < end && load<u8>(p) === closeBrace && skipSpaces(p + 1) === end;
}

/** The first quote or backslash from `p` on: behind the last line stands one. */
function special(p: usize): usize {
  let found = specialsAt(v128.load(p));
  while (found === 0) {
    p += 16;
    found = specialsAt(v128.load(p));
  }
  return p + ctz(found);
}

/** Bit by bit which of 16 bytes are quotes or backslashes. */
function specialsAt(bytes: v128): i32 {
  return i8x16.bitmask(v128.or(i8x16.eq(bytes, i8x16.splat(<i8>quote)), i8x16.eq(bytes, i8x16.splat(<i8>backslash))));
}

/** What stands at the end of a line is no space. */
function skipSpaces(p: usize): usize {
  while (load<u8>(p) === space) p++;
  return p;
}

/** Unescapes a string, of which the first byte after the quote is at `p`, to `to`. False where it does not end or an escape is wrong. */
function copyText(p: usize, end: usize, to: usize): bool {
  while (p < end) {
    const bytes = v128.load(p);
    v128.store(to, bytes);
    const found = specialsAt(bytes);
    if (found === 0) {
      p += 16;
      to += 16;
      continue;
    }
    p += ctz(found);
    to += ctz(found);
    if (p >= end) return false;
    if (load<u8>(p) === quote) {
      textEnd = to;
      next = p + 1;
      return true;
    }
    do {
      const simple = load<u8>(simpleEscapes + <usize>load<u8>(p, 1));
      if (simple !== 0) {
        store<u8>(to++, simple);
        p += 2;
        continue;
      }
      let codePoint = codeUnit(p);
      if (<i32>codePoint <= 0) return false;
      p += 6;
      if (codePoint >= 0xd800 && codePoint < 0xe000) {
        const low = codeUnit(p);
        if (codePoint >= 0xdc00 || <i32>low < 0xdc00 || <i32>low >= 0xe000) return false;
        codePoint = 0x10000 + ((codePoint - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
      }
      to = writeUtf8(to, codePoint);
    } while (load<u8>(p) === backslash);
  }
  return false;
}

/** The code unit of `\uXXXX` at `p`, or -1 where there is none. */
function codeUnit(p: usize): i32 {
  if (load<u16>(p) !== <u16>(backslash | (letterU << 8))) return -1;
  const a = <i32>load<u8>(hexDigits + <usize>load<u8>(p, 2));
  const b = <i32>load<u8>(hexDigits + <usize>load<u8>(p, 3));
  const c = <i32>load<u8>(hexDigits + <usize>load<u8>(p, 4));
  const d = <i32>load<u8>(hexDigits + <usize>load<u8>(p, 5));
  return (a | b | c | d) > 15 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}

function writeUtf8(to: usize, codePoint: u32): usize {
  if (codePoint < 0x80) {
    store<u8>(to, <u8>codePoint);
    return to + 1;
  }
  if (codePoint < 0x800) {
    store<u8>(to, <u8>(0xc0 | (codePoint >> 6)));
    store<u8>(to, <u8>(0x80 | (codePoint & 0x3f)), 1);
    return to + 2;
  }
  if (codePoint < 0x10000) {
    store<u8>(to, <u8>(0xe0 | (codePoint >> 12)));
    store<u8>(to, <u8>(0x80 | ((codePoint >> 6) & 0x3f)), 1);
    store<u8>(to, <u8>(0x80 | (codePoint & 0x3f)), 2);
    return to + 3;
  }
  store<u8>(to, <u8>(0xf0 | (codePoint >> 18)));
  store<u8>(to, <u8>(0x80 | ((codePoint >> 12) & 0x3f)), 1);
  store<u8>(to, <u8>(0x80 | ((codePoint >> 6) & 0x3f)), 2);
  store<u8>(to, <u8>(0x80 | (codePoint & 0x3f)), 3);
  return to + 4;
}
