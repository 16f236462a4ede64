import { pieceText, pieceType, type SentencePieceModel } from "../sentencepiece/modelFile.js";
import { type NormalizerTables, normalizerTables } from "../sentencepiece/normalizerTables.js";
import { type EncoderImage, layOutImage } from "./layOutImage.js";
import { type Arithmetic, buildPieceTrie, encodablePieces, pieceScores } from "./pieceTrie.js";
import { imageFlag } from "./unigramModule.js";

const spaceSymbolBytes = Buffer.from("\u2581");
/** Where texts are cut, as far as the model's rules make each of these a space. */
const cuts = [0x20, 0x0a, 0x09, 0x0d];

/**
 * Builds the image of a unigram model. Seconds for 200,000 pieces: `encoderImage` keeps it.
 *
 * @param arithmetic the SentencePiece version to follow; tests follow the older one, because their oracle does
 * @throws MswitchError where the normalization rules are damaged
 */
export function buildImage(model: SentencePieceModel, arithmetic: Arithmetic = "float"): EncoderImage {
  const encodable = encodablePieces(model);
  const userDefined: Uint8Array[] = [];
  for (const id of encodable) {
    if (model.types[id] !== pieceType.userDefined) continue;
    userDefined.push(model.bytes.subarray(model.pieceStarts[id], model.pieceEnds[id]));
  }
  const { normalizer: spec, trainer, path } = model;
  const { treatWhitespaceAsSuffix, byteFallback } = trainer;
  const normalizer = normalizerTables({ spec, treatWhitespaceAsSuffix, userDefined, path });

  const { scores, unkScore } = pieceScores(model, arithmetic);
  let largestScore = Math.abs(unkScore);
  for (const id of encodable) largestScore = Math.max(largestScore, Math.abs(scores[id]));
  scores[model.unkId] = unkScore;
  const byteIds = new Uint32Array(256);
  for (let id = 0; id < model.size; id++) {
    if (model.types[id] !== pieceType.byte) continue;
    const byte = Number.parseInt(pieceText(model, id).slice(1, -1), 16);
    byteIds[byte] = id;
    // Of an unknown character's byte pieces the first one adds its score, the others nothing.
    scores[id] = (byte & 0xc0) === 0x80 ? 0 : unkScore;
  }

  const flags =
    (splitsAtSpaces(model, normalizer) ? imageFlag.splits : 0) |
    (byteFallback ? imageFlag.byteFallback : 0) |
    (arithmetic === "double" ? imageFlag.comparesDoubles : 0);
  let cutBytes = 0;
  for (const cut of cuts) cutBytes = (cutBytes << 8) | (normalizer.separators.has(cut) ? cut : 0x20);
  const trie = buildPieceTrie(model, arithmetic);
  const { unkId } = model;
  return layOutImage({ normalizer, trie, scores, byteIds, flags, cuts: cutBytes, unkId, unkScore, largestScore });
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
