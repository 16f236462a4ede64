/**
 * The exact encoder for unigram models: bytes in, ids out. Compiled to WebAssembly; `src/vocab/encode/unigramEncoder.ts` is its host.
 *
 * Where the model allows it text is cut at raw spaces first, and the ids of a word are remembered. A word's segmentation depends on
 * what stands before it only through float32 rounding of the accumulated score: `scoreLimit` says up to which score it does not,
 * and beyond it the word is segmented anew from the true score. The true score is not kept: an upper bound of its magnitude is, and
 * where that is not enough, the score is added up from the ids written since it was last known.
 */
import { characterAt, normalize } from "./normalize";
import { mergeUnknown, writePath } from "./output";
import * as s from "./state";
import * as v from "./viterbi";
import * as cache from "./wordCache";
import { findWords, lastWaiting, waiting } from "./words";

export { reserveImage, useImage } from "./state";
export { touched } from "./words";

/** Zeros or spaces behind a text, which whole vectors may be read from. */
const padding: usize = 64;
/** More than the float32 rounding of one addition to a score below 100,000. */
const roundingPerId: f64 = 0.0079;

let text: usize = 0;
let textRoom: usize = 0;

/** At least the magnitude of the score so far. */
let bound: f64 = 0;
/** The true score after the first `knownAt` bytes of the output. */
let knownScore: f32 = 0;
let knownAt: usize = 0;

/** Where the host puts a text of `length` bytes. */
export function textAt(length: usize): usize {
  if (length + padding > textRoom) {
    if (text) heap.free(text);
    textRoom = length + (length >> 2) + 65536;
    text = heap.alloc(textRoom);
  }
  return text;
}

export function idsAt(): usize {
  return s.output;
}

/** Normalizes the text alone. Returns the number of code points at `idsAt`. */
export function normalizeText(length: usize): u32 {
  const count = normalize(text, text + length);
  s.setOutputEnd(s.output);
  s.reserveOutput(count);
  for (let i: u32 = 0; i < count; i++) store<u32>(s.output + 4 * i, characterAt(i));
  return count;
}

/** Encodes the text of `length` bytes at `textAt`. Returns the number of ids at `idsAt`. */
export function encode(length: usize): u32 {
  cache.readyCache();
  s.setOutputEnd(s.output);
  s.reserveOutput(1024);
  // Ends the last word.
  memory.fill(text + length, 0x20, padding);
  if (s.splits && !holdsSpaceSymbol(length)) {
    encodeWords(length);
  } else {
    const count = normalize(text, text + length);
    v.segment(count, 0);
    writePath(count);
  }
  if (!s.byteFallback) mergeUnknown();
  return <u32>((s.outputEnd - s.output) >> 2);
}

/** Whether a literal U+2581 (E2 96 81) stands in the text. */
function holdsSpaceSymbol(length: usize): bool {
  const a = i8x16.splat(<i8>0xe2);
  const b = i8x16.splat(<i8>0x96);
  const c = i8x16.splat(<i8>0x81);
  const end = text + length;
  for (let p = text; p < end; p += 16) {
    const first = i8x16.eq(v128.load(p), a);
    if (v128.any_true(first)) {
      const second = v128.and(i8x16.eq(v128.load(p, 1), b), i8x16.eq(v128.load(p, 2), c));
      if (v128.any_true(v128.and(first, second))) return true;
    }
  }
  return false;
}

function encodeWords(length: usize): void {
  const end = text + length;
  bound = 0;
  knownScore = 0;
  knownAt = 0;
  let p = text;
  while (p < end) {
    p = findWords(p, end);
    encodeWaiting();
  }
}

/** Writes the ids of the words that wait. */
function encodeWaiting(): void {
  let out = s.outputEnd;
  let magnitude = bound;
  for (let word = waiting; word < lastWaiting; word += 32) {
    const size = load<u32>(word, 20);
    const entry = <usize>load<u32>(word, 24);
    if (out + 256 > s.outputLimit) {
      s.setOutputEnd(out);
      s.reserveOutput(256);
      out = s.outputEnd;
    }
    if (size < 16) {
      const known = i8x16.all_true(i8x16.eq(v128.load(word), v128.load(entry)));
      if (known && magnitude < <f64>load<f32>(entry, 16)) {
        v128.store(out, v128.load(entry, 24));
        v128.store(out, v128.load(entry, 40), 16);
        store<u64>(out, load<u64>(entry, 56), 32);
        out += <usize>((load<u32>(entry, 16) & 15) << 2);
        magnitude += <f64>load<f32>(entry, 20);
        continue;
      }
      s.setOutputEnd(out);
      bound = magnitude;
      encodeShort(word, known);
    } else if (size <= cache.maxCachedBytes) {
      const p = <usize>load<u32>(word, 16);
      const known = cache.isLong(entry, p, size);
      if (known && magnitude < <f64>load<f32>(entry, 48)) {
        v128.store(out, v128.load(entry, 60));
        v128.store(out, v128.load(entry, 76), 16);
        v128.store(out, v128.load(entry, 92), 32);
        v128.store(out, v128.load(entry, 108), 48);
        store<u32>(out, load<u32>(entry, 124), 64);
        out += <usize>((load<u32>(entry, 56) >> 8) << 2);
        magnitude += <f64>load<f32>(entry, 52);
        continue;
      }
      s.setOutputEnd(out);
      bound = magnitude;
      encodeLong(word, known);
    } else {
      const p = <usize>load<u32>(word, 16);
      s.setOutputEnd(out);
      bound = magnitude;
      encodeNew(p, p + size);
      finishNew();
    }
    out = s.outputEnd;
    magnitude = bound;
  }
  s.setOutputEnd(out);
  bound = magnitude;
}

/** Encodes a short word that is not in its entry, or not for this score; a new one is put there. */
function encodeShort(word: usize, known: bool): void {
  const p = <usize>load<u32>(word, 16);
  const entry = <usize>load<u32>(word, 24);
  const end = p + load<u32>(word, 20);
  if (known) {
    encodeTrue(normalize(p, end));
    return;
  }
  encodeNew(p, end);
  if (wordIds <= cache.maxShortIds) {
    cache.countNew();
    v128.store(entry, v128.load(word));
    store<u32>(entry, (reinterpret<u32>(wordLimit) & ~15) | wordIds, 16);
    store<f32>(entry, wordCost, 20);
    v128.store(entry, v128.load(wordStart), 24);
    v128.store(entry, v128.load(wordStart, 16), 40);
    store<u64>(entry, load<u64>(wordStart, 32), 56);
  }
  finishNew();
}

/** `encodeShort` for a word of 16 bytes or more. */
function encodeLong(word: usize, known: bool): void {
  const p = <usize>load<u32>(word, 16);
  const size = load<u32>(word, 20);
  const entry = <usize>load<u32>(word, 24);
  if (known) {
    encodeTrue(normalize(p, p + size));
    return;
  }
  encodeNew(p, p + size);
  if (wordIds <= cache.maxLongIds) {
    cache.countNew();
    v128.store(entry, v128.load(p));
    v128.store(entry, cache.masked(v128.load(p, 16), size - 16), 16);
    v128.store(entry, cache.masked(v128.load(p, 32), size - 32), 32);
    store<f32>(entry, wordLimit, 48);
    store<f32>(entry, wordCost, 52);
    store<u32>(entry, size | (wordIds << 8), 56);
    v128.store(entry, v128.load(wordStart), 60);
    v128.store(entry, v128.load(wordStart, 16), 76);
    v128.store(entry, v128.load(wordStart, 32), 92);
    v128.store(entry, v128.load(wordStart, 48), 108);
    store<u32>(entry, load<u32>(wordStart, 64), 124);
  }
  finishNew();
}

/** The ids of the last new word: where, how many, by how much they can raise the score's magnitude, up to which score they hold. */
let wordStart: usize = 0;
let wordIds: u32 = 0;
let wordCost: f32 = 0;
let wordLimit: f32 = 0;
/** Its normalized length. */
let wordLength: u32 = 0;

/** Encodes a word that is not in the cache as if nothing stood before it. `finishNew` must follow. */
function encodeNew(start: usize, end: usize): void {
  wordLength = normalize(start, end);
  v.pull(wordLength, 0);
  const offset = s.outputEnd - s.output;
  const limit = v.scoreLimit(wordLength, writePath(wordLength));
  // A hundred-thousandth less covers its rounding to float32 and the bits that an entry takes from it.
  wordLimit = limit > 0 ? <f32>(limit * (1 - 2 ** -18)) : <f32>-1;
  wordStart = s.output + offset;
  wordIds = <u32>((s.outputEnd - wordStart) >> 2);
  wordCost = <f32>((abs(v.endScore) + roundingPerId * <f64>(wordIds + 1)) * 1.000001);
}

/** Takes the ids of the new word back where they do not hold for the score before it, and encodes it from that. */
function finishNew(): void {
  if (bound < <f64>wordLimit) {
    bound += <f64>wordCost;
    return;
  }
  s.setOutputEnd(wordStart);
  encodeTrue(wordLength);
}

/** Segments what has been normalized from the true score before it, and writes the ids. */
function encodeTrue(length: u32): void {
  let score = knownScore;
  for (let p = s.output + knownAt; p < s.outputEnd; p += 4) {
    score = <f32>(<f64>score + load<f64>(s.scores + 8 * load<u32>(p)));
  }
  v.segment(length, score);
  writePath(length);
  knownScore = <f32>v.endScore;
  knownAt = s.outputEnd - s.output;
  bound = abs(v.endScore);
}
