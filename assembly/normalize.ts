import * as s from "./state";

const space: u32 = 0x20;
const malformed: u32 = 0xffffffff;
const replacementCharacter: u32 = 0xfffd;
/** Bytes below this are no part of a combining mark: U+0300, the first one, is CC 80. */
const firstMarkLead: u32 = 0xcc;

/** Of the last `match`: bytes it covers, and the bytes it becomes, from `from` to `to`. */
let matched: usize = 0;
let from: usize = 0;
let to: usize = 0;

/**
 * Decodes the character at `p` as SentencePiece's `DecodeUTF8` does: overlong forms, surrogates and values over U+10FFFF are
 * malformed, and of a malformed sequence one byte is taken.
 */
function codePointAt(p: usize, end: usize): u32 {
  const a = <u32>load<u8>(p);
  if (a < 0x80) return a;
  if (a < 0xc2 || a >= 0xf5 || p + 1 >= end) return malformed;
  const b = <u32>load<u8>(p, 1);
  if ((b & 0xc0) !== 0x80) return malformed;
  if (a < 0xe0) return ((a & 0x1f) << 6) | (b & 0x3f);
  if (p + 2 >= end) return malformed;
  const c = <u32>load<u8>(p, 2);
  if ((c & 0xc0) !== 0x80) return malformed;
  if (a < 0xf0) {
    const codePoint = ((a & 0x0f) << 12) | ((b & 0x3f) << 6) | (c & 0x3f);
    return codePoint < 0x800 || (codePoint >= 0xd800 && codePoint < 0xe000) ? malformed : codePoint;
  }
  if (p + 3 >= end) return malformed;
  const d = <u32>load<u8>(p, 3);
  if ((d & 0xc0) !== 0x80) return malformed;
  const codePoint = ((a & 0x07) << 18) | ((b & 0x3f) << 12) | ((c & 0x3f) << 6) | (d & 0x3f);
  return codePoint < 0x10000 || codePoint > 0x10ffff ? malformed : codePoint;
}

function utf8Length(codePoint: u32): usize {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

function put(i: u32, codePoint: u32, entry: u32): void {
  const position = s.positions + s.positionBytes * i;
  store<u32>(position, entry & ~s.kindMask);
  store<u32>(position, codePoint, 4);
}

/** The character at `i` of what is normalized. */
export function characterAt(i: u32): u32 {
  return load<u32>(s.positions + s.positionBytes * i, 4);
}

function entryOf(codePoint: u32): u32 {
  return load<u32>(s.codePoints + 4 * codePoint);
}

/** Finds the longest user-defined piece at a well-formed character, or else the longest rule, or else the character itself. */
function match(p: usize, end: usize, codePoint: u32): void {
  if (s.userDefined) {
    const starts = s.userDefined + 4 * <usize>load<u8>(p);
    let piece = s.userDefined + load<u32>(starts);
    const last = s.userDefined + load<u32>(starts, 4);
    while (piece < last) {
      const length = <usize>load<u32>(piece);
      if (length <= end - p && memory.compare(piece + 4, p, length) === 0) {
        matched = length;
        from = piece + 4;
        to = from + length;
        return;
      }
      piece += 4 + ((length + 3) & ~3);
    }
  }
  if (s.charsmapUnits > 0) {
    matched = 0;
    let value: u32 = 0;
    let unit = load<u32>(s.charsmap);
    let node: u32 = (unit >>> 10) << ((unit & 0x200) >>> 6);
    for (let q = p; q < end; q++) {
      const byte = <u32>load<u8>(q);
      node ^= byte;
      if (node >= s.charsmapUnits) break;
      unit = load<u32>(s.charsmap + 4 * node);
      if ((unit & 0x800000ff) !== byte) break;
      node ^= (unit >>> 10) << ((unit & 0x200) >>> 6);
      if ((unit & 0x100) !== 0) {
        value = load<u32>(s.charsmap + 4 * node) & 0x7fffffff;
        matched = q + 1 - p;
      }
    }
    if (matched > 0) {
      from = s.replacements + value;
      to = from;
      while (load<u8>(to) !== 0) to++;
      return;
    }
  }
  matched = utf8Length(codePoint);
  from = p;
  to = p + matched;
}

/** Up to where `copyPlain` came. */
let copiedTo: usize = 0;

/**
 * Copies characters of up to three bytes that no rule can touch, from `p` on, as long as there are such ones. Some bytes beyond `end` are read.
 *
 * @returns the number of code points after it, with `count` before it
 */
function copyPlain(p: usize, end: usize, count: u32): u32 {
  const codePoints = s.codePoints;
  let position = s.positions + s.positionBytes * count;
  while (p < end) {
    const bytes = load<u32>(p);
    const a = bytes & 0xff;
    let codePoint = a;
    let next = p + 1;
    if (a >= 0x80) {
      if (a < 0xe0) {
        if (a < 0xc2 || (bytes & 0xc000) !== 0x8000) break;
        codePoint = ((a & 0x1f) << 6) | ((bytes >> 8) & 0x3f);
        next = p + 2;
      } else {
        if (a >= 0xf0 || (bytes & 0xc0c000) !== 0x808000) break;
        codePoint = ((a & 0x0f) << 12) | ((bytes >> 2) & 0xfc0) | ((bytes >> 16) & 0x3f);
        if (codePoint < 0x800 || (codePoint >= 0xd800 && codePoint < 0xe000)) break;
        next = p + 3;
      }
      if (next > end) break;
    }
    const entry = load<u32>(codePoints + 4 * codePoint);
    const kind = entry & s.kindMask;
    if (kind !== 0 && (kind !== s.copyUnlessMark || (next < end && <u32>load<u8>(next) >= firstMarkLead))) break;
    store<u32>(position, entry & ~s.kindMask);
    store<u32>(position, codePoint, 4);
    position += s.positionBytes;
    count++;
    p = next;
  }
  copiedTo = p;
  return count;
}

/**
 * Normalizes the bytes from `start` to `end` as a text of its own: compiled rules, longest first; user-defined pieces kept; spaces
 * merged and trimmed; the dummy prefix added; spaces written as U+2581; each as the model says. Malformed bytes become U+FFFD.
 * Fills in characters and codes of `positions`.
 *
 * @returns the number of code points
 */
export function normalize(start: usize, end: usize): u32 {
  s.reservePositions(<u32>(end - start) + 4);
  const merges = s.removeExtraWhitespaces;
  const writtenSpace = s.writtenSpace;
  let count: u32 = 0;
  let afterSpace = merges;
  // Spaces alone, however many rules wrote them, leave nothing, not even the dummy prefix or suffix.
  let onlySpaces = true;
  if (s.dummyPrefix) put(count++, writtenSpace, entryOf(writtenSpace));
  let p = start;
  while (p < end) {
    const copied = copyPlain(p, end, count);
    if (copied > count) {
      count = copied;
      p = copiedTo;
      afterSpace = false;
      onlySpaces = false;
      if (p >= end) break;
    }
    const codePoint = codePointAt(p, end);
    if (codePoint === malformed) {
      put(count++, replacementCharacter, entryOf(replacementCharacter));
      p++;
      afterSpace = false;
      onlySpaces = false;
      continue;
    }
    const entry = entryOf(codePoint);
    const next = p + utf8Length(codePoint);
    const kind = entry & s.kindMask;
    if (kind === 0 || (kind === s.copyUnlessMark && (next >= end || <u32>load<u8>(next) < firstMarkLead))) {
      put(count++, codePoint, entry);
      p = next;
      afterSpace = false;
      onlySpaces = false;
      continue;
    }
    match(p, end, codePoint);
    p += matched;
    let source = from;
    const last = to;
    if (!merges || last - source !== 1 || load<u8>(source) !== space) onlySpaces = false;
    while (afterSpace && source < last && load<u8>(source) === space) source++;
    if (source === last) continue;
    afterSpace = merges && load<u8>(last - 1) === space;
    s.reservePositions(count + <u32>(last - source) + <u32>(end - p) + 4);
    while (source < last) {
      const read = codePointAt(source, last);
      const written = read === space ? writtenSpace : read;
      put(count++, written, entryOf(written));
      source += utf8Length(read);
    }
  }
  if (onlySpaces) return 0;
  if (merges) while (count > 0 && characterAt(count - 1) === writtenSpace) count--;
  if (s.dummySuffix) put(count++, writtenSpace, entryOf(writtenSpace));
  return count;
}
