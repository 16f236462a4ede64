import { MswitchError } from "../base/errors.js";
import { createDecoder } from "./encode/createDecoder.js";
import { createEncoder } from "./encode/createEncoder.js";
import { embeddingRowsOf, requireZeroPadding, sentinelIdsOf, vocabularyOf } from "./loadVocabulary.js";
import {
  type ModelType,
  pieceText,
  pieceType,
  readModelFile,
  type SentencePieceModel,
} from "./sentencepiece/modelFile.js";
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
  vocabulary: Omit<Vocabulary, "padId" | "eosId"> & Partial<Vocabulary>;
  /** Why `preprocess` and `pretrain` would refuse it. */
  unusable?: string;
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
  const { vocabulary, unusable } = usableVocabulary(model);
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
    unusable,
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

/** What is known of a vocabulary, also of one that cannot be trained with: many sound models have no padding. */
function usableVocabulary(model: SentencePieceModel): Pick<VocabularyReport, "vocabulary" | "unusable"> {
  const { path, fingerprint, size, unkId } = model;
  let vocabulary: VocabularyReport["vocabulary"] = {
    ...{ path, fingerprint, size, unkId },
    sentinelIds: sentinelIdsOf(model),
    embeddingRows: embeddingRowsOf(model),
  };
  try {
    const whole = vocabularyOf(model);
    vocabulary = whole;
    requireZeroPadding(whole);
    return { vocabulary };
  } catch (error) {
    if (!(error instanceof MswitchError)) throw error;
    return { vocabulary, unusable: error.what };
  }
}
