import { encodeUtf8, spaceSymbol } from "./codePoints.js";
import type { Encoder } from "./encoder.js";
import { pieceText, pieceType, type SentencePieceModel } from "./modelFile.js";
import { Normalizer } from "./normalizer.js";
import { type Arithmetic, buildPieceTrie, encodablePieces, pieceScores, Viterbi } from "./viterbi.js";
import { maxCachedBytes, WordCache } from "./wordCache.js";

const spaceSymbolBytes = Buffer.from(String.fromCodePoint(spaceSymbol));

/**
 * The exact encoder for unigram models: normalize, find the best segmentation, write ids.
 *
 * Where the model allows it (`splitsAtSpaces`), text is cut at raw spaces first and the ids of a word are remembered. A word's
 * segmentation depends on what stands before it only through float32 rounding of the accumulated score; `Viterbi.scoreLimit` says
 * up to which score it does not, and beyond it the word is segmented anew from the true score.
 */
export class UnigramEncoder implements Encoder {
  private readonly normalizer: Normalizer;
  private readonly viterbi: Viterbi;
  private readonly cache = new WordCache();
  private readonly splits: boolean;
  private readonly byteFallback: boolean;
  private readonly unkId: number;
  /** Ids of the 256 byte pieces, where the model falls back to bytes. */
  private readonly byteIds = new Uint32Array(256);
  /**
   * What an id that was written adds to the score of the document. Of an unknown character's byte pieces the first one adds its
   * score, the others nothing.
   */
  private readonly addedScore: Float64Array;
  private out = new Uint32Array(1024);
  private count = 0;

  /** @param arithmetic the SentencePiece version to follow; tests follow the older one, because their oracle does */
  constructor(model: SentencePieceModel, arithmetic: Arithmetic = "float") {
    const userDefined = encodablePieces(model)
      .filter((id) => model.types[id] === pieceType.userDefined)
      .map((id) => model.bytes.subarray(model.pieceStarts[id], model.pieceEnds[id]));
    this.normalizer = new Normalizer({
      spec: model.normalizer,
      treatWhitespaceAsSuffix: model.trainer.treatWhitespaceAsSuffix,
      userDefined,
      path: model.path,
    });
    this.viterbi = new Viterbi(buildPieceTrie(model, arithmetic), arithmetic);
    this.splits = splitsAtSpaces(model, this.normalizer);
    this.byteFallback = model.trainer.byteFallback;
    this.unkId = model.unkId;
    const { scores, unkScore } = pieceScores(model, arithmetic);
    this.addedScore = scores;
    scores[this.unkId] = unkScore;
    for (let id = 0; id < model.size; id++) {
      if (model.types[id] !== pieceType.byte) continue;
      const byte = Number.parseInt(pieceText(model, id).slice(1, -1), 16);
      this.byteIds[byte] = id;
      scores[id] = (byte & 0xc0) === 0x80 ? 0 : unkScore;
    }
  }

  encode(text: Uint8Array): Uint32Array {
    this.count = 0;
    const buffer = Buffer.from(text.buffer, text.byteOffset, text.length);
    if (this.splits && !buffer.includes(spaceSymbolBytes)) {
      this.encodeWords(text);
    } else {
      const length = this.normalizer.normalize(text, 0, text.length);
      this.viterbi.segment(this.normalizer.output, length, 0);
      this.emitPath();
    }
    if (!this.byteFallback) this.mergeUnknown();
    return this.out.subarray(0, this.count);
  }

  private encodeWords(text: Uint8Array): void {
    const { cache, addedScore } = this;
    const { separators } = this.normalizer;
    const { ids, idStarts, idCounts, limits } = cache;
    let score = 0;
    for (let start = 0; start < text.length; start++) {
      let hash = 0;
      let end = start;
      for (; end < text.length; end++) {
        const byte = text[end];
        if (separators[byte] === 1) break;
        hash = Math.imul(hash ^ byte, 0x01000193);
        hash ^= hash >>> 13;
      }
      if (end > start) {
        const entry = end - start <= maxCachedBytes ? cache.find(text, start, end, hash) : -1;
        if (entry >= 0 && Math.abs(score) < limits[entry]) {
          const count = idCounts[entry];
          const first = idStarts[entry];
          if (this.count + count > this.out.length) this.grow(count);
          for (let i = 0; i < count; i++) {
            const id = ids[first + i];
            this.out[this.count++] = id;
            score = Math.fround(score + addedScore[id]);
          }
        } else {
          score = this.encodeWord(text, start, end, hash, entry, score);
        }
      }
      start = end;
    }
  }

  /** Encodes a word that the cache does not know (`slot` negative), or not for this score. Returns the score after it. */
  private encodeWord(text: Uint8Array, start: number, end: number, hash: number, slot: number, score: number): number {
    const { normalizer, viterbi } = this;
    const length = normalizer.normalize(text, start, end);
    if (slot < 0 && end - start <= maxCachedBytes) {
      const before = this.count;
      viterbi.segmentExactly(normalizer.output, length);
      this.emitPath();
      const { scoreLimit } = viterbi;
      this.cache.insert(slot, text, start, end, hash, this.out.subarray(before, this.count), scoreLimit);
      if (Math.abs(score) < scoreLimit) {
        let after = score;
        for (let i = before; i < this.count; i++) after = Math.fround(after + this.addedScore[this.out[i]]);
        return after;
      }
      this.count = before;
    }
    viterbi.segment(normalizer.output, length, score);
    this.emitPath();
    return viterbi.endScore;
  }

  /** Writes the last path's ids, an unknown character as its bytes where the model falls back to them. */
  private emitPath(): void {
    const { path, pathLength } = this.viterbi;
    if (this.count + 4 * pathLength > this.out.length) this.grow(4 * pathLength);
    for (let i = 0; i < pathLength; i++) {
      const piece = path[i];
      if (piece >= 0) this.out[this.count++] = piece;
      else if (!this.byteFallback) this.out[this.count++] = this.unkId;
      else this.emitBytes(-1 - piece);
    }
  }

  private emitBytes(codePoint: number): void {
    encodeUtf8(codePoint, (byte) => {
      this.out[this.count++] = this.byteIds[byte];
    });
  }

  /** SentencePiece writes a run of unknown characters as one unknown piece. */
  private mergeUnknown(): void {
    const { out, unkId } = this;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (out[i] !== unkId || kept === 0 || out[kept - 1] !== unkId) out[kept++] = out[i];
    }
    this.count = kept;
  }

  private grow(more: number): void {
    const larger = new Uint32Array(2 * (this.count + more));
    larger.set(this.out.subarray(0, this.count));
    this.out = larger;
  }
}

/**
 * Whether a text's ids are the ids of its words, cut at raw spaces, one after another. It is so if spaces are merged and each word
 * gets its U+2581, and if no piece reaches over one: U+2581 stands nowhere but first in a piece.
 */
function splitsAtSpaces(model: SentencePieceModel, normalizer: Normalizer): boolean {
  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = model.normalizer;
  if (!addDummyPrefix || !removeExtraWhitespaces || !escapeWhitespaces) return false;
  if (model.trainer.treatWhitespaceAsSuffix || normalizer.writesSpaceSymbol) return false;
  return encodablePieces(model).every((id) => {
    const text = model.bytes.subarray(model.pieceStarts[id] + 1, model.pieceEnds[id]);
    for (let i = 0; i + 2 < text.length; i++) {
      if (text[i] === spaceSymbolBytes[0] && text[i + 1] === spaceSymbolBytes[1] && text[i + 2] === spaceSymbolBytes[2])
        return false;
    }
    return true;
  });
}
