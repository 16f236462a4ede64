import { buildCodePointTrie } from "./codePointTrie.js";
import { pieceType, type SentencePieceModel } from "./modelFile.js";

/** The pieces of a unigram model that text can be cut into, as the double array that the WebAssembly module walks. */
export interface PieceTrie {
  /** 16 bytes a state: `{ base i32, check i32, score f32, id i32 }`, base and check in bytes; score -Infinity, id -1 where no piece ends. */
  units: Int32Array;
  /** The code points of all pieces; the one at `i` has the dense code `i + 1`. */
  codePoints: Int32Array;
  /** Code points of the longest piece. */
  longestPiece: number;
}

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

/** SentencePiece's `kUnkPenalty`. */
const unkPenalty = 10;
/** FLT_MIN and FLT_MAX, where SentencePiece starts its search for the largest and the smallest score. */
const smallestFloat = 2 ** -126;
const largestFloat = (2 - 2 ** -23) * 2 ** 127;

/** Pieces that can come out of encoding: normal and user-defined ones. */
export function encodablePieces(model: SentencePieceModel): number[] {
  const ids: number[] = [];
  for (let id = 0; id < model.size; id++) {
    if (model.types[id] === pieceType.normal || model.types[id] === pieceType.userDefined) ids.push(id);
  }
  return ids;
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

/** Builds the trie of a unigram model's pieces. */
export function buildPieceTrie(model: SentencePieceModel): PieceTrie {
  const values = Int32Array.from(encodablePieces(model));
  const starts = new Uint32Array(values.length + 1);
  let pool = new Int32Array(model.bytes.length);
  let used = 0;
  values.forEach((id, i) => {
    for (let at = model.pieceStarts[id]; at < model.pieceEnds[id]; ) {
      const byte = model.bytes[at];
      const length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      let codePoint = length === 1 ? byte : byte & (0x7f >> length);
      for (let k = 1; k < length; k++) codePoint = (codePoint << 6) | (model.bytes[at + k] & 0x3f);
      pool[used++] = codePoint;
      at += length;
    }
    starts[i + 1] = used;
  });
  pool = pool.subarray(0, used);
  const { codeOf, base, check, value } = buildCodePointTrie({ pool, starts, values });

  const { scores: scoreOf } = pieceScores(model, "float");
  const units = new Int32Array(4 * base.length);
  const scores = new Float32Array(units.buffer);
  for (let state = 0; state < base.length; state++) {
    units[4 * state] = 16 * base[state];
    units[4 * state + 1] = check[state] < 0 ? -1 : 16 * check[state];
    scores[4 * state + 2] = value[state] < 0 ? Number.NEGATIVE_INFINITY : scoreOf[value[state]];
    units[4 * state + 3] = value[state];
  }
  let codes = 0;
  const codePoints = new Int32Array(pool.length);
  for (const codePoint of pool) {
    codePoints[codeOf[codePoint] - 1] = codePoint;
    codes = Math.max(codes, codeOf[codePoint]);
  }
  let longestPiece = 1;
  for (let i = 0; i < values.length; i++) longestPiece = Math.max(longestPiece, starts[i + 1] - starts[i]);
  return { units, codePoints: codePoints.slice(0, codes), longestPiece };
}
