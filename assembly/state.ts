/** What the host gives once per model (`useImage`), and the buffers that grow with the text. Pointers are into linear memory. */

/**
 * By code point, 32 bits: its dense code times 16 (0 where no piece holds it), and in the low two bits whether the normalizer may
 * copy it: `copyAlways`, `copyUnlessMark`, `copyNever`.
 */
export let codePoints: usize = 0;
export const copyUnlessMark: u32 = 1;
export const copyNever: u32 = 2;
export const kindMask: u32 = 3;

/** The automaton of pieces, as `PieceTrie` in `src/vocab/encode/pieceTrie.ts` describes it, with pointers where that has offsets, `rest` aside. */
export let units: usize = 0;
export let blocks: usize = 0;
export let fails: usize = 0;
/** In a state's `nextBase`. */
export const leafMark: u32 = 1;
export const chainMark: u32 = 2;
export const longMark: u32 = 4;
export const baseMask: u32 = ~15;
/** What an id that was written adds to the score of the document, as f64, by id. */
export let scores: usize = 0;
/** Ids of the 256 byte pieces. */
export let byteIds: usize = 0;

/** Compiled normalization rules: the units of Darts-clone, how many, and the NUL-terminated replacements. */
export let charsmap: usize = 0;
export let charsmapUnits: u32 = 0;
export let replacements: usize = 0;

/** User-defined pieces: 257 starts by first byte, then `{ length u32, bytes }` padded to 4, longest first; 0 where there are none. */
export let userDefined: usize = 0;

export let unkScore: f32 = 0;
export let unkId: u32 = 0;
/** The largest magnitude among all scores. */
export let largestScore: f64 = 0;
/** Code points of the longest piece. */
export let longestPiece: i32 = 1;

export let splits: bool = false;
export let byteFallback: bool = false;
/** Candidates are compared in double, as SentencePiece did before 0.2.1, and scores are never rebased. */
export let comparesDoubles: bool = false;
export let removeExtraWhitespaces: bool = false;
export let dummyPrefix: bool = false;
export let dummySuffix: bool = false;
/** The code point that a space is written as. */
export let writtenSpace: u32 = 0x20;
/** Four separators, one of them perhaps twice: where a text may be cut before it is normalized. */
export let separators: u32 = 0x20202020;

/** Bits of the flags. */
const flagSplits: u32 = 1;
const flagByteFallback: u32 = 2;
const flagDoubles: u32 = 4;
const flagRemoveSpaces: u32 = 8;
const flagPrefix: u32 = 16;
const flagSuffix: u32 = 32;
const flagEscape: u32 = 64;

/** Memory that nothing was in before, so all zeros, and of which only what is used is ever made. */
export function newPages(bytes: usize): usize {
  const pages = memory.grow(<i32>((bytes + 0xffff) >> 16));
  if (pages < 0) abort();
  return (<usize>pages) << 16;
}

/** Makes room for a model's image of `bytes`; the host copies it there and then calls `useImage`. */
export function reserveImage(bytes: usize): usize {
  // The allocator, when first called, takes all memory there is for its own.
  heap.free(heap.alloc(16));
  return newPages(bytes);
}

/** Takes the image at `image`, whose head is as `src/vocab/encode/layOutImage.ts` writes it, into use. */
export function useImage(image: usize): void {
  const flags = load<u32>(image);
  splits = (flags & flagSplits) !== 0;
  byteFallback = (flags & flagByteFallback) !== 0;
  comparesDoubles = (flags & flagDoubles) !== 0;
  removeExtraWhitespaces = (flags & flagRemoveSpaces) !== 0;
  dummyPrefix = (flags & flagPrefix) !== 0;
  dummySuffix = (flags & flagSuffix) !== 0;
  writtenSpace = (flags & flagEscape) !== 0 ? 0x2581 : 0x20;
  separators = load<u32>(image, 4);
  unkId = load<u32>(image, 8);
  unkScore = load<f32>(image, 12);
  largestScore = load<f64>(image, 16);
  longestPiece = load<i32>(image, 24);
  charsmapUnits = load<u32>(image, 28);
  units = image + load<u32>(image, 32);
  fails = image + load<u32>(image, 36);
  blocks = image + load<u32>(image, 40);
  scores = image + load<u32>(image, 44);
  byteIds = image + load<u32>(image, 48);
  charsmap = image + load<u32>(image, 52);
  replacements = image + load<u32>(image, 56);
  makePointers();
  const userDefinedOffset = load<u32>(image, 60);
  userDefined = userDefinedOffset === 0 ? 0 : image + userDefinedOffset;
  codePoints = newPages(4 * 0x110000);
  let pair = image + load<u32>(image, 64);
  const end = pair + 8 * load<u32>(image, 68);
  for (; pair < end; pair += 8) store<u32>(codePoints + 4 * load<u32>(pair), load<u32>(pair, 4));
}

/** Makes the offsets in `units` and `fails` pointers. */
function makePointers(): void {
  for (let unit = units; unit < fails; unit += 16) {
    store<u32>(unit, load<u32>(unit) + <u32>units);
    store<u32>(unit, load<u32>(unit, 4) + <u32>units, 4);
    store<u32>(unit, load<u32>(unit, 8) + <u32>units, 8);
    store<u32>(unit, load<u32>(unit, 12) + <u32>blocks, 12);
  }
  for (let fail = fails; fail < blocks; fail += 4) store<u32>(fail, load<u32>(fail) + <u32>units);
}

/**
 * Of each character of the normalized text 24 bytes: `{ code, character, best f32, gap f32, block, taken }`. Its dense code times 16, its
 * code point; the best score of all up to and with it, by how much the second best is worse; of the piece that the best one ends with
 * the block and the length. One more stands before the first, for what is before the text.
 */
export let positions: usize = 0;
export const positionBytes: usize = 24;
let capacity: u32 = 0;

/** Makes room for a normalized text of `needed` code points and keeps what is there of it. */
export function reservePositions(needed: u32): void {
  if (needed <= capacity) return;
  capacity = max<u32>(4096, needed + (needed >> 1));
  const bytes = positionBytes * (<usize>capacity + 2);
  const start = positions ? heap.realloc(positions - positionBytes, bytes) : heap.alloc(bytes);
  positions = start + positionBytes;
}

/** Ids written so far stand from `output`; the next one goes to `outputEnd`. */
export let output: usize = 0;
export let outputEnd: usize = 0;
export let outputLimit: usize = 0;

export function setOutputEnd(end: usize): void {
  outputEnd = end;
}

/** Makes room for `more` ids and for 128 bytes that a copy of whole vectors may write beyond them. */
export function reserveOutput(more: u32): void {
  if (outputEnd + 4 * more + 128 <= outputLimit) return;
  const used = outputEnd - output;
  const bytes: usize = 2 * (used + 4 * <usize>more) + 65536;
  output = output ? heap.realloc(output, bytes) : heap.alloc(bytes);
  outputEnd = output + used;
  outputLimit = output + bytes;
}
