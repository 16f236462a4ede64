import { pieceType, type SentencePieceModel } from "../sentencepiece/modelFile.js";
import { buildCodePointTrie, type CodePointTrie } from "./codePointTrie.js";

/**
 * SentencePiece keeps the best score up to each position as a float32, in all versions; which segmentation wins where two are as
 * good as equal depends on how it computes with it, and that has changed (it shows in about one document of a hundred):
 * - `float`: 0.2.2, which this project follows. Candidates are rounded to float32 before they are compared; where the score at
 *   a position exceeds 100,000 in magnitude, it is subtracted from this and all later scores.
 * - `double`: 0.1.97 to 0.2.0, and sentencepiece-js. Candidates are compared in double, and scores grow without end.
 *
 * Found out by probing 0.2.2 with models made for it; `vocab/oracle/compare_tokens.py` checks it on text.
 */
export type Arithmetic = "float" | "double";

/**
 * The pieces of a unigram model that text can be cut into, as an Aho-Corasick automaton over code points: its state after a
 * character stands for the longest end of the text that some piece begins with. The WebAssembly module walks it.
 */
export interface PieceTrie {
  /**
   * 16 bytes a state, offsets in bytes: `{ base, check, nextBase, block }`. By the code point with dense code `c` a state goes to
   * `base + 16 c` if `check` there is this `base`. Otherwise the same is tried with `nextBase`, the base of the state it fails to,
   * and so on along its chain of fails, at last from the root. A state without children has what the first state on its chain has
   * that has some. In the low bits of `nextBase`: `leafMark`; `chainMark` where the chain does not end after that state; `longMark` where the block has
   * more vectors than two.
   */
  units: Int32Array;
  /** By state, the offset of the one that it fails to. */
  fails: Int32Array;
  /**
   * Of all pieces that the text before a state may end with: `{ id, length, rest, score }`, the longest one's id and its length in code points,
   * the block of the others, the score of the piece of one code point; then four float32 with the scores of lengths 5 to 2, four with
   * those of lengths 9 to 6; and, from the next line of the processor's cache, as many more such vectors, 13 to 10 first, as the 13th
   * word says. -Infinity where no piece has that length; a character that is no piece scores as unknown, id -1.
   */
  blocks: Int32Array;
  /** The code points of all pieces; the one at `i` has the dense code `i + 1`. */
  codePoints: Int32Array;
  /** Code points of the longest piece. */
  longestPiece: number;
}

/** SentencePiece's `kUnkPenalty`. */
const unkPenalty = 10;
/** FLT_MIN and FLT_MAX, where SentencePiece starts its search for the largest and the smallest score. */
const smallestFloat = 2 ** -126;
const largestFloat = (2 - 2 ** -23) * 2 ** 127;
/** Most pieces are of at most nine characters. Their scores stand in one line of 16 words of the processor's cache. */
const shortPiece = 9;
const lineWords = 16;
const vectorCountAt = 12;

/**
 * Marks in `nextBase`, known to `assembly/state.ts` too: the state has no children; the state after the next is not the root; its block
 * goes on after its first line.
 */
const leafMark = 1;
const chainMark = 2;
const longMark = 4;

/** Pieces that can come out of encoding: normal and user-defined ones. */
export function encodablePieces({ size, types }: SentencePieceModel): Int32Array {
  const ids = new Int32Array(size);
  let count = 0;
  for (let id = 0; id < size; id++) {
    if (types[id] === pieceType.normal || types[id] === pieceType.userDefined) ids[count++] = id;
  }
  return ids.subarray(0, count);
}

/** Score of each id as SentencePiece adds it up: log probabilities, and for user-defined pieces a bonus that lets them win. */
export function pieceScores(
  model: SentencePieceModel,
  arithmetic: Arithmetic,
): { scores: Float64Array; unkScore: number } {
  const { size, types, pieceStarts, pieceEnds } = model;
  let min = largestFloat;
  let max = smallestFloat;
  for (let id = 0; id < size; id++) {
    if (types[id] !== pieceType.normal) continue;
    min = Math.min(min, model.scores[id]);
    max = Math.max(max, model.scores[id]);
  }
  const scores = Float64Array.from(model.scores);
  for (let id = 0; id < size; id++) {
    if (types[id] !== pieceType.userDefined) continue;
    const bytes = pieceEnds[id] - pieceStarts[id];
    // 0.2.2 gives a tenth for each byte but the first. Before, `max` was meant to count, but it is never below FLT_MIN.
    scores[id] = arithmetic === "float" ? Math.fround(0.1 * (bytes - 1)) : Math.fround(bytes * max) - 0.1;
  }
  return { scores, unkScore: Math.fround(min - unkPenalty) };
}

/** Builds the automaton of a unigram model's pieces. */
export function buildPieceTrie(model: SentencePieceModel, arithmetic: Arithmetic = "float"): PieceTrie {
  const values = encodablePieces(model);
  const { bytes, pieceStarts, pieceEnds } = model;
  const starts = new Uint32Array(values.length + 1);
  values.forEach((id, i) => {
    starts[i + 1] = starts[i];
    for (let at = pieceStarts[id]; at < pieceEnds[id]; at++) if ((bytes[at] & 0xc0) !== 0x80) starts[i + 1]++;
  });
  const pool = new Int32Array(starts[values.length]);
  let used = 0;
  for (const id of values) {
    for (let at = pieceStarts[id]; at < pieceEnds[id]; ) {
      const byte = bytes[at];
      const length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      let codePoint = length === 1 ? byte : byte & (0x7f >> length);
      for (let k = 1; k < length; k++) codePoint = (codePoint << 6) | (bytes[at + k] & 0x3f);
      pool[used++] = codePoint;
      at += length;
    }
  }
  const trie = buildCodePointTrie({ pool, starts, values });
  const { scores, unkScore } = pieceScores(model, arithmetic);
  const depths = new Int32Array(trie.nodeCount);
  let longestPiece = 1;
  for (let node = 1; node < trie.nodeCount; node++) {
    depths[node] = depths[trie.parents[node]] + 1;
    longestPiece = Math.max(longestPiece, depths[node]);
  }
  const order = nodesByDepth(depths, longestPiece);
  const fails = failLinks(trie, order);
  const { blocks, blockOf } = pieceBlocks({ trie, order, depths, fails, scores, unkScore });
  const automaton = automatonUnits({ trie, order, fails, blocks, blockOf });

  const codePoints: number[] = [];
  for (const codePoint of pool) codePoints[trie.codeOf[codePoint] - 1] = codePoint;
  return { ...automaton, blocks, codePoints: Int32Array.from(codePoints), longestPiece };
}

/** All nodes but the root, shallow ones first. */
function nodesByDepth(depths: Int32Array, deepest: number): Int32Array {
  const starts = new Int32Array(deepest + 2);
  for (let node = 1; node < depths.length; node++) starts[depths[node] + 1]++;
  for (let depth = 0; depth <= deepest; depth++) starts[depth + 1] += starts[depth];
  const order = new Int32Array(depths.length - 1);
  for (let node = 1; node < depths.length; node++) order[starts[depths[node]]++] = node;
  return order;
}

/** Of each node the node of its longest proper end that the trie holds. */
function failLinks(
  { parents, codes, slots, bases, nodeCount, slotCount }: CodePointTrie,
  order: Int32Array,
): Int32Array {
  const nodeAt = new Int32Array(slotCount);
  for (let node = 1; node < nodeCount; node++) nodeAt[slots[node]] = node;
  const fails = new Int32Array(nodeCount);
  for (const node of order) {
    if (parents[node] === 0) continue;
    for (let from = fails[parents[node]]; ; from = fails[from]) {
      const child = nodeAt[bases[from] + codes[node]];
      if (child !== 0 && parents[child] === from) {
        fails[node] = child;
        break;
      }
      if (from === 0) break;
    }
  }
  return fails;
}

interface BlockSource {
  trie: CodePointTrie;
  order: Int32Array;
  depths: Int32Array;
  fails: Int32Array;
  scores: Float64Array;
  unkScore: number;
}

/** Writes `blocks`; a node where no piece ends has the block of the node it fails to. */
function pieceBlocks({ trie, order, depths, fails, scores, unkScore }: BlockSource) {
  const vectorsFor = (length: number): number => Math.max(0, (length - shortPiece + 3) >> 2);
  const wordsOf = (vectors: number): number => lineWords + ((4 * vectors + lineWords - 1) & ~(lineWords - 1));
  const scoreAt = (block: number, length: number): number => {
    if (length === 1) return block + 3;
    // The vector of lengths 2 to 5 is the first, the longest length stands first in each.
    const vector = (length - 2) >> 2;
    return block + (vector < 2 ? 4 + 4 * vector : lineWords + 4 * (vector - 2)) + 3 - ((length - 2) & 3);
  };
  let words = lineWords;
  for (const node of order) if (trie.ends[node] >= 0) words += wordsOf(vectorsFor(depths[node]));
  const blocks = new Int32Array(words);
  const floats = new Float32Array(blocks.buffer);

  floats.fill(Number.NEGATIVE_INFINITY, 3, vectorCountAt);
  blocks.set([-1, 1, 0]);
  floats[scoreAt(0, 1)] = unkScore;
  let end = lineWords;
  const blockOf = new Int32Array(trie.nodeCount);
  for (const node of order) {
    const rest = blockOf[fails[node]];
    const id = trie.ends[node];
    blockOf[node] = rest;
    if (id < 0) continue;
    const length = depths[node];
    const vectors = vectorsFor(length);
    blocks.set([id, length, 4 * rest], end);
    floats.copyWithin(end + 3, rest + 3, rest + vectorCountAt);
    blocks[end + vectorCountAt] = vectors;
    floats.fill(Number.NEGATIVE_INFINITY, end + lineWords, end + lineWords + 4 * vectors);
    floats.copyWithin(end + lineWords, rest + lineWords, rest + lineWords + 4 * blocks[rest + vectorCountAt]);
    floats[scoreAt(end, length)] = scores[id];
    blockOf[node] = end;
    end += wordsOf(vectors);
  }
  return { blocks, blockOf };
}

interface UnitSource {
  trie: CodePointTrie;
  order: Int32Array;
  fails: Int32Array;
  blocks: Int32Array;
  blockOf: Int32Array;
}

/** Writes `units` and `fails`, with chains that leave out states that cannot go on where the state before them could not. */
function automatonUnits({ trie, order, fails, blocks, blockOf }: UnitSource): Pick<PieceTrie, "units" | "fails"> {
  const { parents, slots, bases, firstChild, childCodes, nodeCount, slotCount } = trie;
  const degree = (node: number): number => firstChild[node + 1] - firstChild[node];
  /** What a node goes on as, itself or the first with children on its chain, and what that fails to. */
  const goesOnAs = new Int32Array(nodeCount);
  const nextOf = new Int32Array(nodeCount);
  const childOf = new Int32Array(slotCount).fill(-1);
  for (const node of order) {
    goesOnAs[node] = degree(node) === 0 ? goesOnAs[fails[node]] : node;
    if (degree(node) === 0) continue;
    for (let i = firstChild[node]; i < firstChild[node + 1]; i++) childOf[childCodes[i]] = node;
    let next = goesOnAs[fails[node]];
    while (next !== 0 && degree(next) <= degree(node)) {
      let i = firstChild[next];
      while (i < firstChild[next + 1] && childOf[childCodes[i]] === node) i++;
      if (i < firstChild[next + 1]) break;
      next = nextOf[next];
    }
    nextOf[node] = next;
  }

  const units = new Int32Array(4 * slotCount);
  const failsAt = new Int32Array(slotCount);
  for (let slot = 0; slot < slotCount; slot++) units[4 * slot + 1] = -1;
  units[0] = units[2] = 16 * bases[0];
  for (const node of order) {
    const as = goesOnAs[node];
    const next = nextOf[as];
    const marks =
      (as === node ? 0 : leafMark) |
      (next !== 0 && nextOf[next] !== 0 ? chainMark : 0) |
      (blocks[blockOf[node] + vectorCountAt] > 0 ? longMark : 0);
    const at = 4 * slots[node];
    units[at] = 16 * bases[as];
    units[at + 1] = 16 * bases[parents[node]];
    units[at + 2] = 16 * bases[next] + marks;
    units[at + 3] = 4 * blockOf[node];
    failsAt[slots[node]] = 16 * slots[next];
  }
  return { units, fails: failsAt };
}
