import { createDecoder } from "./encode/createDecoder.js";
import { createEncoder } from "./encode/createEncoder.js";
import { vocabularyOf } from "./loadVocabulary.js";
import { type ModelType, pieceText, pieceType, readModelFile } from "./sentencepiece/modelFile.js";
import type { Vocabulary } from "./vocabulary.js";

const kinds = {
  normal: pieceType.normal,
  unknown: pieceType.unknown,
  control: pieceType.control,
  "user-defined": pieceType.userDefined,
  unused: pieceType.unused,
  byte: pieceType.byte,
} as const;

/** What `mswitch vocab inspect` prints. */
export interface VocabularyReport {
  vocabulary: Vocabulary;
  modelType: ModelType;
  byteFallback: boolean;
  /** Number of pieces of each kind that occurs. */
  pieces: Partial<Record<keyof typeof kinds, number>>;
  longestPiece: string;
  sentinelsInModel: boolean;
  normalization: { name: string; charsmapBytes: number; flags: string[] };
  encoded?: { bytes: number; tokens: { id: number; piece: string }[]; decoded: string };
}

/** Reads a SentencePiece model and says what it holds, and how it encodes `text`. */
export async function inspectVocabulary(path: string, text?: string): Promise<VocabularyReport> {
  const model = readModelFile(path);
  const vocabulary = vocabularyOf(model);
  const pieces: VocabularyReport["pieces"] = {};
  for (const [kind, type] of Object.entries(kinds)) {
    const count = model.types.reduce((sum, t) => sum + (t === type ? 1 : 0), 0);
    if (count > 0) pieces[kind as keyof typeof kinds] = count;
  }
  let longest = 0;
  const length = (id: number): number => model.pieceEnds[id] - model.pieceStarts[id];
  for (let id = 0; id < model.size; id++) if (length(id) > length(longest)) longest = id;
  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces, precompiledCharsmap, name } = model.normalizer;
  const flags = [
    addDummyPrefix && `a space added at the ${model.trainer.treatWhitespaceAsSuffix ? "end" : "start"}`,
    removeExtraWhitespaces && "extra spaces removed",
    escapeWhitespaces && "spaces written as \u2581",
  ].filter((flag) => flag !== false);

  const report: VocabularyReport = {
    vocabulary,
    modelType: model.trainer.modelType,
    byteFallback: model.trainer.byteFallback,
    pieces,
    longestPiece: pieceText(model, longest),
    sentinelsInModel: vocabulary.sentinelIds[0] < model.size,
    normalization: { name, charsmapBytes: precompiledCharsmap.length, flags },
  };
  if (text !== undefined) {
    const bytes = Buffer.from(text);
    const ids = [...(await createEncoder(model)).encode(bytes)];
    const decoder = createDecoder(model);
    const tokens = ids.map((id) => ({ id, piece: decoder.pieceOf(id) }));
    report.encoded = { bytes: bytes.length, tokens, decoded: decoder.decode(ids) };
  }
  return report;
}
