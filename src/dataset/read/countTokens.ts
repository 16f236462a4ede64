import type { TokenCounts } from "../../analysis/tokenStatistics.js";
import { pieceText, pieceType, type SentencePieceModel } from "../../vocab/sentencepiece/modelFile.js";
import type { RowBatch } from "./readRowBatches.js";

/** What is looked up of each id: [vocabulary size]. */
export interface PieceTable {
  /** Words that begin in a piece. */
  words: Uint8Array;
  unknown: Uint8Array;
  byte: Uint8Array;
  /** Whether a document's first word begins without a sign. */
  unmarkedFirst: boolean;
}

/** Words are told by U+2581, SentencePiece's sign for a space, which normalization also puts before the first of them. */
export function pieceTable(model: SentencePieceModel): PieceTable {
  const table = {
    words: new Uint8Array(model.size),
    unknown: new Uint8Array(model.size),
    byte: new Uint8Array(model.size),
    unmarkedFirst: !model.normalizer.addDummyPrefix,
  };
  for (let id = 0; id < model.size; id++) {
    table.words[id] = pieceText(model, id).split("\u2581").length - 1;
    table.unknown[id] = model.types[id] === pieceType.unknown ? 1 : 0;
    table.byte[id] = model.types[id] === pieceType.byte ? 1 : 0;
  }
  return table;
}

/**
 * Adds a batch of documents to the counts.
 *
 * @returns an id that is none of the vocabulary, where there is one
 */
export function countTokens(
  { offsets, tokens, bytes }: RowBatch,
  table: PieceTable,
  counts: TokenCounts,
): number | undefined {
  const { words, unknown, byte, unmarkedFirst } = table;
  const size = words.length;
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i];
    if (id >= size) return id;
    counts.words += words[id];
    counts.unknown += unknown[id];
    counts.byteFallback += byte[id];
  }
  for (let row = 0; row < bytes.length; row++) {
    const length = offsets[row + 1] - offsets[row];
    const bin = 32 - Math.clz32(length);
    counts.lengths[bin] = (counts.lengths[bin] ?? 0) + 1;
    if (length > counts.longest) counts.longest = length;
    if (unmarkedFirst && length > 0) counts.words++;
    counts.bytes += bytes[row];
  }
  counts.documents += bytes.length;
  counts.tokens += tokens.length;
  return undefined;
}
