import type { NormalizerTables } from "../sentencepiece/normalizerTables.js";
import type { SharedBytes } from "./keptUnderFingerprint.js";
import type { PieceTrie } from "./pieceTrie.js";

/**
 * All that the WebAssembly module needs of a model, laid out as it lies in its memory, so that setting it up is one copy. Tables
 * stand at offsets from its start.
 */
export type EncoderImage = SharedBytes;

/** What an image is laid out from. */
export interface ImageTables {
  normalizer: NormalizerTables;
  trie: PieceTrie;
  /** What an id adds to the score of a document, by id. */
  scores: Float64Array;
  /** Ids of the 256 byte pieces. */
  byteIds: Uint32Array;
  /** Bits of `imageFlag`, those of the normalizer aside. */
  flags: number;
  /** Four bytes at which a text may be cut, one perhaps twice. */
  cuts: number;
  unkId: number;
  unkScore: number;
  /** The largest magnitude among all scores. */
  largestScore: number;
}

/** Tables start at the processor's cache lines. */
const alignment = 64;
const headBytes = 128;

/** Lays out an image. */
export function layOutImage(tables: ImageTables): EncoderImage {
  const { normalizer, trie, scores, byteIds } = tables;
  const { charsmap } = normalizer;
  // In the order of the head's offsets.
  const parts = [
    trie.units,
    trie.fails,
    trie.blocks,
    scores,
    byteIds,
    charsmap.units,
    // With the NUL of a last text that has none.
    Buffer.concat([charsmap.texts, new Uint8Array(1)]),
    normalizer.userDefined,
    codePointEntries(trie, normalizer),
  ];
  const offsets: number[] = [];
  let end = headBytes;
  for (const part of parts) {
    offsets.push(end);
    end = Math.ceil((end + part.byteLength) / alignment) * alignment;
  }
  const image = new Uint8Array(new SharedArrayBuffer(end));
  parts.forEach((part, i) => {
    image.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offsets[i]);
  });

  const head = new DataView(image.buffer, 0, headBytes);
  const words = [
    [0, tables.flags | normalizer.flags],
    [4, tables.cuts],
    [8, tables.unkId],
    [24, trie.longestPiece],
    [28, charsmap.units.length],
    ...offsets.map((offset, i) => [32 + 4 * i, offset]),
    [68, parts[8].length / 2],
  ];
  for (const [at, value] of words) head.setUint32(at, value, true);
  head.setFloat32(12, tables.unkScore, true);
  head.setFloat64(16, tables.largestScore, true);
  if (normalizer.userDefined.length === 0) head.setUint32(60, 0, true);
  return image;
}

/** Pairs of a code point and its entry: dense code times 16, and how the normalizer may copy it. */
function codePointEntries({ codePoints }: PieceTrie, { kinds }: NormalizerTables): Uint32Array {
  const entries = new Map<number, number>();
  for (let i = 0; i < codePoints.length; i++) entries.set(codePoints[i], 16 * (i + 1));
  for (const [codePoint, kind] of kinds) entries.set(codePoint, (entries.get(codePoint) ?? 0) | kind);
  return Uint32Array.from([...entries].flat());
}
