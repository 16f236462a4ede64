import { MswitchError, usageError } from "../base/errors.js";
import { keptUnderFingerprint } from "./encode/keptUnderFingerprint.js";
import { parseModel, pieceText, pieceType, type SentencePieceModel } from "./sentencepiece/modelFile.js";
import { type ModelFile, openModelFile } from "./sentencepiece/openModelFile.js";
import type { Vocabulary } from "./vocabulary.js";

/** Sentinels that T5 adds above a model that holds none (its `extra_ids`). */
const extraIds = 100;
/** T5 and mT5 round the embedding's rows up to a multiple of this, for the hardware's sake: 250100 becomes 250112. */
const rowMultiple = 128;

/** Changes with the fields of `Vocabulary` and how they are found. */
const format = "vocabulary-1";

/**
 * What training needs to know of a vocabulary, from its `.model` file. Kept in the user's cache directory: where it is there, the
 * model is not parsed.
 *
 * @param file the path, or the file that was opened there
 * @throws MswitchError where the file is no whole model, lacks the padding or end-of-sequence piece that T5 needs, or has padding of an id
 *   other than 0
 */
export async function loadVocabulary(file: string | ModelFile): Promise<Vocabulary> {
  const opened = typeof file === "string" ? openModelFile(file) : file;
  const kept = await keptUnderFingerprint(opened.fingerprint, format, () => {
    const json = Buffer.from(JSON.stringify(vocabularyOf(parseModel(opened))));
    const built = new Uint8Array(new SharedArrayBuffer(json.length));
    built.set(json);
    return built;
  });
  const vocabulary: Vocabulary = { ...JSON.parse(Buffer.from(kept).toString()), path: opened.path };
  requireZeroPadding(vocabulary);
  return vocabulary;
}

/**
 * Refuses a vocabulary whose padding is not id 0, which is what rows of a batch are filled with and what the model masks.
 *
 * @throws usageError
 */
export function requireZeroPadding({ padId, path }: Pick<Vocabulary, "padId" | "path">): void {
  if (padId === 0) return;
  throw usageError(`the vocabulary's padding has id ${padId}`, {
    code: "vocabulary-padding-invalid",
    where: path,
    why: "T5's examples and model take id 0 for padding",
    hint: "train it with `mswitch vocab train`, or with SentencePiece's --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1",
  });
}

/** `loadVocabulary` for a model that has been read. */
export function vocabularyOf(model: SentencePieceModel): Vocabulary {
  return {
    path: model.path,
    fingerprint: model.fingerprint,
    size: model.size,
    embeddingRows: embeddingRowsOf(model),
    padId: controlId(model, model.trainer.padPiece, "padding"),
    eosId: controlId(model, model.trainer.eosPiece, "end-of-sequence"),
    unkId: model.unkId,
    sentinelIds: sentinelIdsOf(model),
  };
}

/** Rows of the embedding: pieces and sentinels, rounded up. */
export function embeddingRowsOf(model: SentencePieceModel): number {
  const top = Math.max(model.size, sentinelIdsOf(model)[0] + 1);
  return Math.ceil(top / rowMultiple) * rowMultiple;
}

/**
 * Ids of T5's sentinels, `<extra_id_0>` first: the model's own pieces of that name, with or without a U+2581 before it, or else
 * counted down from 100 above the model's size (T5: 32099, 32098, …; mT5's file holds them: 250099, 250098, …).
 */
export function sentinelIdsOf(model: SentencePieceModel): number[] {
  const byNumber = sentinelPieces(model);
  if (byNumber.size === 0) return Array.from({ length: extraIds }, (_, k) => model.size + extraIds - 1 - k);
  return Array.from({ length: byNumber.size }, (_, k) => {
    const id = byNumber.get(k);
    if (id === undefined) {
      throw new MswitchError("the vocabulary's sentinels have a gap", {
        code: "vocabulary-sentinels-incomplete",
        where: model.path,
        why: `it holds ${byNumber.size} pieces <extra_id_…>, but no <extra_id_${k}>`,
      });
    }
    return id;
  });
}

/** Sentinels above the model's pieces: none where it holds some itself. */
export function sentinelsAbove(model: SentencePieceModel): number[] {
  return sentinelPieces(model).size === 0 ? sentinelIdsOf(model) : [];
}

/** Ids of the model's own pieces `<extra_id_K>` by K. */
function sentinelPieces(model: SentencePieceModel): Map<number, number> {
  const byNumber = new Map<number, number>();
  for (let id = 0; id < model.size; id++) {
    // Most texts need not be made: the last byte of a sentinel is `>`.
    if (model.bytes[model.pieceEnds[id] - 1] !== 0x3e) continue;
    const match = /^\u2581?<extra_id_(\d+)>$/.exec(pieceText(model, id));
    if (match) byNumber.set(Number(match[1]), id);
  }
  return byNumber;
}

function controlId(model: SentencePieceModel, piece: string, role: string): number {
  for (let id = 0; id < model.size; id++) {
    if (model.types[id] === pieceType.control && pieceText(model, id) === piece) return id;
  }
  throw new MswitchError(`the vocabulary has no ${role} piece`, {
    code: "vocabulary-piece-missing",
    where: model.path,
    why: `no control piece is called ${JSON.stringify(piece)}`,
    hint: "train it with pad_id 0, eos_id 1, unk_id 2, as `mswitch vocab train` does",
  });
}
