import { usageError } from "../base/errors.js";
import { sentinelIdsOf } from "./loadVocabulary.js";
import { pieceText, pieceType, type SentencePieceModel } from "./sentencepiece/modelFile.js";

/** Files by name that make a folder one from which Transformers' `AutoTokenizer` loads. */
export type TokenizerFiles = ReadonlyMap<string, string | Uint8Array>;

/**
 * A vocabulary's tokenizer for Transformers: `spiece.model` (the SentencePiece file as it is), `tokenizer.json` (the same model for the
 * `tokenizers` library, which `AutoTokenizer` reads), `tokenizer_config.json` and `special_tokens_map.json`. Texts are encoded to
 * SentencePiece's ids with the end-of-sequence id after them; `<extra_id_0>` and so on to T5's sentinels.
 *
 * `tokenizers` adds up scores in float64 and SentencePiece in float32: where two segmentations tie, they may choose another one each.
 *
 * @throws usageError for a model that `tokenizer.json` cannot say: see `tokenizerFault`
 */
export function transformersTokenizer(model: SentencePieceModel): TokenizerFiles {
  const fault = tokenizerFault(model);
  if (fault)
    throw usageError("the vocabulary has no form for Transformers", {
      code: "vocabulary-not-exportable",
      where: model.path,
      why: fault,
    });
  const { padPiece, eosPiece, unkPiece } = model.trainer;
  const sentinels = sentinelIdsOf(model).map((id, k) => ({ id, text: `<extra_id_${k}>` }));
  const special = {
    eos_token: eosPiece,
    pad_token: padPiece,
    unk_token: unkPiece,
    additional_special_tokens: sentinels.map(({ text }) => text),
  };
  const config = {
    // The generic class: T5Tokenizer builds a model of its own, without byte fallback.
    tokenizer_class: "PreTrainedTokenizerFast",
    ...special,
    clean_up_tokenization_spaces: false,
    model_input_names: ["input_ids", "attention_mask"],
  };
  return new Map<string, string | Uint8Array>([
    ["spiece.model", model.bytes],
    ["tokenizer.json", `${JSON.stringify(tokenizerJson(model, sentinels))}\n`],
    ["tokenizer_config.json", `${JSON.stringify(config, null, 2)}\n`],
    ["special_tokens_map.json", `${JSON.stringify(special, null, 2)}\n`],
  ]);
}

/** Why a model has no `tokenizer.json`; undefined where it has one. */
export function tokenizerFault({ trainer, denormalizer }: SentencePieceModel): string | undefined {
  if (trainer.modelType !== "unigram") return `it is a ${trainer.modelType} model, and only unigram models are written`;
  if (trainer.treatWhitespaceAsSuffix) return "it treats whitespace as a suffix";
  if (denormalizer && denormalizer.precompiledCharsmap.length > 0) return "it has denormalization rules";
  return undefined;
}

interface Sentinel {
  id: number;
  text: string;
}

/** `tokenizer.json` as `tokenizers` 0.23 reads and writes it. */
function tokenizerJson(model: SentencePieceModel, sentinels: readonly Sentinel[]): Record<string, unknown> {
  const { trainer, unkId } = model;
  const vocab: [string, number][] = [];
  for (let id = 0; id < model.size; id++) vocab.push([pieceText(model, id), model.scores[id]]);
  // mT5's file has them as pieces with a space before, T5 has them above its pieces.
  for (const { id, text } of [...sentinels].sort((a, b) => a.id - b.id)) vocab[id] = [text, 0];
  const sentinelIds = new Set(sentinels.map(({ id }) => id));
  const eosId = vocab.findIndex(([text]) => text === trainer.eosPiece);
  const sequence = (id: "A" | "B") => [
    { Sequence: { id, type_id: 0 } },
    { SpecialToken: { id: trainer.eosPiece, type_id: 0 } },
  ];
  const isSpecial = (id: number): boolean =>
    id === unkId || sentinelIds.has(id) || model.types[id] === pieceType.control;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: vocab.flatMap(([content], id) => {
      if (!isSpecial(id) && model.types[id] !== pieceType.userDefined) return [];
      return [{ id, content, ...plainToken, special: isSpecial(id) }];
    }),
    normalizer: { type: "Sequence", normalizers: normalizers(model) },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: sequence("A"),
      pair: [...sequence("A"), ...sequence("B")],
      special_tokens: { [trainer.eosPiece]: { id: trainer.eosPiece, ids: [eosId], tokens: [trainer.eosPiece] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: { type: "Unigram", unk_id: unkId, vocab, byte_fallback: trainer.byteFallback },
  };
}

const plainToken = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** What SentencePiece does to a text before it looks for pieces, in its order. */
function normalizers({ normalizer }: SentencePieceModel): Record<string, unknown>[] {
  const { precompiledCharsmap, removeExtraWhitespaces, addDummyPrefix, escapeWhitespaces } = normalizer;
  const steps: Record<string, unknown>[] = [];
  if (precompiledCharsmap.length > 0) {
    steps.push({ type: "Precompiled", precompiled_charsmap: Buffer.from(precompiledCharsmap).toString("base64") });
  }
  if (removeExtraWhitespaces) {
    steps.push({ type: "Strip", strip_left: true, strip_right: true });
    steps.push({ type: "Replace", pattern: { Regex: " {2,}" }, content: " " });
  }
  if (addDummyPrefix) steps.push({ type: "Prepend", prepend: escapeWhitespaces ? "▁" : " " });
  if (escapeWhitespaces) steps.push({ type: "Replace", pattern: { String: " " }, content: "▁" });
  return steps;
}
