import type { Encoder } from "./encoder.js";
import { pieceText, pieceType, type SentencePieceModel } from "./modelFile.js";
import { type NormalizerTables, normalizerTables, writeNormalizer } from "./normalizerTables.js";
import { type Arithmetic, encodablePieces, type PieceTrie, pieceScores } from "./pieceTrie.js";
import { instantiateUnigram, setUpFlag, type UnigramExports } from "./unigramModule.js";

/** A larger text does not fit the module's memory. */
const maxTextBytes = 2 ** 30;
const spaceSymbolBytes = Buffer.from("\u2581");
/** Where texts are cut, as far as the model's rules make each of these a space. */
const cuts = [0x20, 0x0a, 0x09, 0x0d];

/** The exact encoder for unigram models: the host of `assembly/unigram.ts`, in which all of the work is done. */
export class UnigramEncoder implements Encoder {
  private readonly wasm: UnigramExports;

  /**
   * @param trie of the model, by `buildPieceTrie`
   * @param arithmetic the SentencePiece version to follow; tests follow the older one, because their oracle does
   */
  constructor(model: SentencePieceModel, trie: PieceTrie, arithmetic: Arithmetic = "float") {
    const encodable = encodablePieces(model);
    const userDefined: Uint8Array[] = [];
    for (const id of encodable) {
      if (model.types[id] !== pieceType.userDefined) continue;
      userDefined.push(model.bytes.subarray(model.pieceStarts[id], model.pieceEnds[id]));
    }
    const { normalizer: spec, trainer, path } = model;
    const { treatWhitespaceAsSuffix, byteFallback } = trainer;
    const tables = normalizerTables({ spec, treatWhitespaceAsSuffix, userDefined, path });
    const { scores, unkScore } = pieceScores(model, arithmetic);
    let largestScore = Math.abs(unkScore);
    for (const id of encodable) largestScore = Math.max(largestScore, Math.abs(scores[id]));

    this.wasm = instantiateUnigram();
    const { charsmap } = tables;
    const { units, fails, blocks } = trie;
    this.wasm.allocateTables(
      units.byteLength,
      blocks.byteLength,
      model.size,
      charsmap.units.length,
      charsmap.texts.length,
      tables.userDefined.length,
    );
    const { memory } = this.wasm;
    new Int32Array(memory.buffer, this.wasm.unitsAt(), units.length).set(units);
    new Int32Array(memory.buffer, this.wasm.failsAt(), fails.length).set(fails);
    new Int32Array(memory.buffer, this.wasm.blocksAt(), blocks.length).set(blocks);
    const entries = new Uint32Array(memory.buffer, this.wasm.codePointsAt(), 0x110000);
    for (let i = 0; i < trie.codePoints.length; i++) entries[trie.codePoints[i]] = 16 * (i + 1);
    writeNormalizer(this.wasm, tables);

    scores[model.unkId] = unkScore;
    const byteIds = new Uint32Array(memory.buffer, this.wasm.byteIdsAt(), 256);
    for (let id = 0; id < model.size; id++) {
      if (model.types[id] !== pieceType.byte) continue;
      const byte = Number.parseInt(pieceText(model, id).slice(1, -1), 16);
      byteIds[byte] = id;
      // Of an unknown character's byte pieces the first one adds its score, the others nothing.
      scores[id] = (byte & 0xc0) === 0x80 ? 0 : unkScore;
    }
    new Float64Array(memory.buffer, this.wasm.scoresAt(), scores.length).set(scores);
    const flags =
      tables.flags |
      (splitsAtSpaces(model, tables) ? setUpFlag.splits : 0) |
      (byteFallback ? setUpFlag.byteFallback : 0) |
      (arithmetic === "double" ? setUpFlag.comparesDoubles : 0);
    let cutBytes = 0;
    for (const cut of cuts) cutBytes = (cutBytes << 8) | (tables.separators.has(cut) ? cut : 0x20);
    this.wasm.setUp(flags, cutBytes, model.unkId, unkScore, largestScore, trie.longestPiece);
  }

  encode(text: Uint8Array): Uint32Array {
    const { wasm } = this;
    const { length } = text;
    if (length > maxTextBytes) throw new RangeError(`a text of ${length} bytes is too long to encode at once`);
    const at = wasm.textAt(length);
    new Uint8Array(wasm.memory.buffer, at, length).set(text);
    const count = wasm.encode(length);
    return new Uint32Array(wasm.memory.buffer, wasm.idsAt(), count);
  }
}

/**
 * Whether a text's ids are the ids of its words, cut at raw spaces, one after another. It is so if spaces are merged and each word
 * gets its U+2581, and if no piece reaches over one: U+2581 stands nowhere but first in a piece.
 */
function splitsAtSpaces(model: SentencePieceModel, tables: NormalizerTables): boolean {
  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = model.normalizer;
  if (!addDummyPrefix || !removeExtraWhitespaces || !escapeWhitespaces) return false;
  if (model.trainer.treatWhitespaceAsSuffix || tables.writesSpaceSymbol || !tables.separators.has(0x20)) return false;
  const { bytes, pieceStarts, pieceEnds, types } = model;
  const [a, b, c] = spaceSymbolBytes;
  for (let id = 0; id < model.size; id++) {
    if (types[id] !== pieceType.normal && types[id] !== pieceType.userDefined) continue;
    for (let i = pieceStarts[id] + 1; i + 2 < pieceEnds[id]; i++) {
      if (bytes[i] === a && bytes[i + 1] === b && bytes[i + 2] === c) return false;
    }
  }
  return true;
}
