/**
 * Cuts a stream of bytes into lines and finds the text of each that is plainly an object of strings, as mC4's are; the others are the
 * host's. Compiled to WebAssembly; `src/corpus/read/textFinder.ts` is its host.
 */
import { findText, textEnd } from "./findText";

export { fieldAt } from "./findText";

const newline: u8 = 0x0a;
const carriageReturn: u8 = 0x0d;
const quote: u8 = 0x22;

/** What `next` answers. */
const noLine: i32 = 0;
const plainLine: i32 = 1;
const otherLine: i32 = 2;
const longLine: i32 = 3;

/** What may be read and written beyond the end of lines and texts. */
const slackBytes: usize = 64;

let maxLineBytes: usize = 0;
/** Lines that have ended. */
let lines: f64 = 0;
let ended: bool = false;
/** Whether lines are given out as they are. */
let plainText: bool = false;

/** The bytes in hand: from `lineStart` to `filled`, of which there is no newline before `searched`. */
let buffer: usize = 0;
let room: usize = 0;
let lineStart: usize = 0;
let searched: usize = 0;
let filled: usize = 0;
/** Bytes of the line in hand that were let go, since it is too long. */
let dropped: f64 = 0;

/** Texts of the piece in hand, one behind the other. */
let texts: usize = 0;
let textsEnd: usize = 0;

/** The line or the text that was found last. */
let foundAt: usize = 0;
let foundLength: usize = 0;
/** Bytes of the line. */
let lineLength: f64 = 0;

/** Begins a new stream. */
export function start(limit: usize, asTheyAre: bool): void {
  maxLineBytes = limit;
  plainText = asTheyAre;
  lines = 0;
  ended = false;
  dropped = 0;
  lineStart = buffer;
  searched = buffer;
  filled = buffer;
}

/** Where the host puts the next `length` bytes. What was found so far is no longer there then. */
export function pieceAt(length: usize): usize {
  const kept = filled - lineStart;
  const needed = kept + length + slackBytes;
  if (needed > room) {
    room = max<usize>(2 * needed, 256 * 1024);
    // No line within the limit needs more, nor has a longer one more kept.
    room = min(room, max(needed, maxLineBytes + 2 * length + slackBytes));
    const wider = heap.alloc(room);
    memory.copy(wider, lineStart, kept);
    if (buffer !== 0) {
      heap.free(buffer);
      heap.free(texts);
    }
    buffer = wider;
    texts = heap.alloc(room);
  } else if (lineStart !== buffer) {
    memory.copy(buffer, lineStart, kept);
  }
  searched = buffer + (searched - lineStart);
  lineStart = buffer;
  filled = buffer + kept;
  textsEnd = texts;
  return filled;
}

export function addPiece(length: usize): void {
  filled += length;
  // Ends every search in a string.
  store<u8>(filled, quote);
}

/** Says that nothing follows: what is left is a line, if it is anything. */
export function end(): void {
  ended = true;
}

export function foundStart(): usize {
  return foundAt;
}

export function foundBytes(): usize {
  return foundLength;
}

export function lineBytes(): f64 {
  return lineLength;
}

export function lineCount(): f64 {
  return lines;
}

/**
 * Goes to the end of the next line that is not empty. Of a `plainLine` the text is found, of an `otherLine` the line itself, carriage returns at its end
 * left out; a `longLine` is longer than the limit.
 */
export function next(): i32 {
  while (hasLine()) {
    const first = lineStart;
    const last = searched;
    lineStart = min(last + 1, filled);
    searched = lineStart;
    lines++;
    lineLength = <f64>(last - first) + dropped;
    dropped = 0;
    if (lineLength > <f64>maxLineBytes) return longLine;
    let lineEnd = last;
    while (lineEnd > first && load<u8>(lineEnd - 1) === carriageReturn) lineEnd--;
    if (lineEnd === first) continue;
    if (!plainText && findText(first, lineEnd, textsEnd)) {
      foundAt = textsEnd;
      foundLength = textEnd - textsEnd;
      textsEnd = textEnd;
      return plainLine;
    }
    foundAt = first;
    foundLength = lineEnd - first;
    return otherLine;
  }
  return noLine;
}

/** Moves `searched` to the end of the line in hand; false where that has not come yet. */
function hasLine(): bool {
  let p = searched;
  for (; p < filled; p += 16) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(p), i8x16.splat(newline)));
    if (found === 0) continue;
    p += ctz(found);
    break;
  }
  searched = min(p, filled);
  if (searched < filled) return true;
  const length = <f64>(filled - lineStart) + dropped;
  if (ended) return length > 0;
  if (length > <f64>maxLineBytes) {
    dropped = length;
    lineStart = filled;
  }
  return false;
}
