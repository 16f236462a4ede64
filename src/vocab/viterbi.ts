import { buildCodePointTrie, type CodePointTrie } from "./codePointTrie.js";
import { pieceType, type SentencePieceModel } from "./modelFile.js";

/** The pieces of a unigram model that text can be cut into, as a trie with their scores. */
export interface PieceTrie {
  codeOf: CodePointTrie["codeOf"];
  /** Of state `s`: base at `4s`, check at `4s + 1`; its score is `scores[2s + 1]` in the same memory, so in the same cache line. */
  units: Int32Array;
  /** -Infinity in a state where no piece ends: it can win no comparison, which saves a branch. */
  scores: Float64Array;
  ids: Int32Array;
  /** Score of a character that no piece covers. */
  unkScore: number;
  /** The largest magnitude among all scores. */
  largestScore: number;
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
/** SentencePiece 0.2.2 starts again from 0 beyond this score. */
const rebaseScore = 100_000;
/** SentencePiece starts its search for the best score at FLT_MIN, which no log probability exceeds. */
const floatMin = Math.fround(1.17549435e-38);

/** Pieces that can come out of encoding: normal and user-defined ones. */
export function encodablePieces(model: SentencePieceModel): number[] {
  const ids: number[] = [];
  for (let id = 0; id < model.size; id++) {
    if (model.types[id] === pieceType.normal || model.types[id] === pieceType.userDefined) ids.push(id);
  }
  return ids;
}

/** Score of each id as SentencePiece adds it up: log probabilities, and for user-defined pieces a bonus that makes them win. */
export function pieceScores(
  model: SentencePieceModel,
  arithmetic: Arithmetic,
): { scores: Float64Array; unkScore: number } {
  const { size, types, pieceStarts, pieceEnds } = model;
  let min = Number.POSITIVE_INFINITY;
  let max = floatMin;
  for (let id = 0; id < size; id++) {
    if (types[id] !== pieceType.normal) continue;
    min = Math.min(min, model.scores[id]);
    max = Math.max(max, model.scores[id]);
  }
  const scores = Float64Array.from(model.scores);
  for (let id = 0; id < size; id++) {
    // A product of floats, then a difference of doubles: `length * max_score_ - 0.1`.
    if (types[id] !== pieceType.userDefined) continue;
    const score = Math.fround((pieceEnds[id] - pieceStarts[id]) * max) - 0.1;
    scores[id] = arithmetic === "float" ? Math.fround(score) : score;
  }
  if (min === Number.POSITIVE_INFINITY) min = 3.4028234663852886e38;
  return { scores, unkScore: Math.fround(min - unkPenalty) };
}

/** Builds the trie of a unigram model's pieces. */
export function buildPieceTrie(model: SentencePieceModel, arithmetic: Arithmetic): PieceTrie {
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

  const { scores: scoreOf, unkScore } = pieceScores(model, arithmetic);
  const units = new Int32Array(4 * base.length);
  const scores = new Float64Array(units.buffer);
  for (let state = 0; state < base.length; state++) {
    units[4 * state] = base[state];
    units[4 * state + 1] = check[state];
    scores[2 * state + 1] = value[state] < 0 ? Number.NEGATIVE_INFINITY : scoreOf[value[state]];
  }
  let largestScore = Math.abs(unkScore);
  for (const id of values) largestScore = Math.max(largestScore, Math.abs(scoreOf[id]));
  let longestPiece = 1;
  for (let i = 0; i < values.length; i++) longestPiece = Math.max(longestPiece, starts[i + 1] - starts[i]);
  return { codeOf, units, scores, ids: value, unkScore, largestScore, longestPiece };
}

/**
 * The best segmentation of a sequence of code points (SentencePiece's `Model::EncodeOptimized`), with buffers of its own.
 *
 * SentencePiece keeps the best score up to each position as a float32 that has been added up from the start of the document, and
 * lets the first candidate win a tie: the one that starts earlier, that is, the longer last piece. To find the same pieces, `segment` starts from the score accumulated so far and rounds alike.
 */
export class Viterbi {
  /** Pieces of the last segmentation in order: ids, and `-1 - codePoint` for a character that no piece covers. */
  path = new Int32Array(64);
  pathLength = 0;
  /** Score at the end of the last segmentation. */
  endScore = 0;
  /** Only after `segmentExactly`: any start score nearer to 0 than this leads `segment` to the same path. */
  scoreLimit = 0;

  private capacity = 0;
  private codes = new Int32Array(0);
  private best = new Float64Array(0);
  private second = new Float64Array(0);
  private from = new Int32Array(0);
  private state = new Int32Array(0);

  constructor(
    private readonly trie: PieceTrie,
    private readonly arithmetic: Arithmetic,
  ) {}

  /** Segments `text[0, length)` as SentencePiece does in a document whose text before it has the score `startScore`. */
  segment(text: Int32Array, length: number, startScore: number): void {
    this.start(text, length);
    const { units, scores, unkScore } = this.trie;
    const { codes, best, from, state } = this;
    const floats = this.arithmetic === "float";
    best[0] = startScore;
    for (let i = 0; i < length; i++) {
      if (floats && Math.abs(best[i]) > rebaseScore) this.rebase(i, length);
      const here = best[i];
      let node = units[0] + codes[i];
      let covered = false;
      if (units[4 * node + 1] === 0) {
        covered = scores[2 * node + 1] > Number.NEGATIVE_INFINITY;
        for (let j = i + 1; ; j++) {
          const sum = scores[2 * node + 1] + here;
          const rounded = Math.fround(sum);
          if ((floats ? rounded : sum) > best[j]) {
            best[j] = rounded;
            from[j] = i;
            state[j] = node;
          }
          if (j === length) break;
          const next = units[4 * node] + codes[j];
          if (units[4 * next + 1] !== node) break;
          node = next;
        }
      }
      if (!covered) {
        const candidate = Math.fround(unkScore + here);
        if (candidate > best[i + 1]) {
          best[i + 1] = candidate;
          from[i + 1] = i;
          state[i + 1] = -1;
        }
      }
    }
    this.endScore = best[length];
    this.trace(text, length);
  }

  /**
   * Segments `text[0, length)` without rounding, from the score 0, and computes up to which start score rounding cannot lead
   * SentencePiece to another path (`scoreLimit`).
   *
   * A position is reached in at most `length` additions, each wrong by at most half a unit of float32, 2^-24 of the largest
   * magnitude that occurs. So two candidates for a position are off by at most `length · magnitude · 2^-23` together, and
   * keep their order while their difference is larger. A tie has the limit 0. Nor may the score be rebased within the text.
   */
  segmentExactly(text: Int32Array, length: number): void {
    this.start(text, length);
    const { units, scores, unkScore, largestScore } = this.trie;
    const { codes, best, second, from, state } = this;
    second.fill(Number.NEGATIVE_INFINITY, 0, length + 1);
    best[0] = 0;
    let magnitude = 0;
    for (let i = 0; i < length; i++) {
      const here = best[i];
      magnitude = Math.max(magnitude, Math.abs(here));
      let node = units[0] + codes[i];
      let covered = false;
      if (units[4 * node + 1] === 0) {
        covered = scores[2 * node + 1] > Number.NEGATIVE_INFINITY;
        for (let j = i + 1; ; j++) {
          const candidate = scores[2 * node + 1] + here;
          if (candidate > best[j]) {
            second[j] = best[j];
            best[j] = candidate;
            from[j] = i;
            state[j] = node;
          } else if (candidate > second[j]) {
            second[j] = candidate;
          }
          if (j === length) break;
          const next = units[4 * node] + codes[j];
          if (units[4 * next + 1] !== node) break;
          node = next;
        }
      }
      if (!covered) {
        const candidate = unkScore + here;
        if (candidate > best[i + 1]) {
          second[i + 1] = best[i + 1];
          best[i + 1] = candidate;
          from[i + 1] = i;
          state[i + 1] = -1;
        } else if (candidate > second[i + 1]) {
          second[i + 1] = candidate;
        }
      }
    }
    this.endScore = best[length];
    magnitude = Math.max(magnitude, Math.abs(best[length])) + largestScore;
    let gap = Number.POSITIVE_INFINITY;
    for (let j = length; j > 0; j = from[j]) gap = Math.min(gap, best[j] - second[j]);
    // One addition to spare, and a tenth, for the rounding of this very bound.
    const roundingLimit = (0.9 * gap * 2 ** 23) / (length + 1) - magnitude;
    this.scoreLimit = Math.min(roundingLimit, this.arithmetic === "float" ? rebaseScore - magnitude : roundingLimit);
    this.trace(text, length);
  }

  /** Takes the score at position `i` off from it and from the later ones that a piece has reached. */
  private rebase(i: number, length: number): void {
    const { best } = this;
    const offset = best[i];
    const last = Math.min(length, i + this.trie.longestPiece);
    for (let j = i; j <= last; j++) best[j] = Math.fround(best[j] - offset);
  }

  private start(text: Int32Array, length: number): void {
    if (this.capacity < length + 1) {
      this.capacity = 2 * (length + 1);
      this.codes = new Int32Array(this.capacity);
      this.best = new Float64Array(this.capacity);
      this.second = new Float64Array(this.capacity);
      this.from = new Int32Array(this.capacity);
      this.state = new Int32Array(this.capacity);
      this.path = new Int32Array(this.capacity);
    }
    const { codeOf } = this.trie;
    const { codes, best } = this;
    for (let i = 0; i < length; i++) {
      codes[i] = codeOf[text[i]];
      best[i + 1] = Number.NEGATIVE_INFINITY;
    }
  }

  /** Follows the best path back from the end and writes it in order. */
  private trace(text: Int32Array, length: number): void {
    const { from, state, path } = this;
    const { ids } = this.trie;
    let count = 0;
    for (let j = length; j > 0; j = from[j]) count++;
    this.pathLength = count;
    for (let j = length; j > 0; j = from[j]) {
      const s = state[j];
      path[--count] = s >= 0 ? ids[s] : -1 - text[from[j]];
    }
  }
}
