import type { Split } from "../src/corpus/shards/shard.js";
import type { DatasetManifest } from "../src/dataset/format/manifest.js";
import type { TokenDataset, TokenRun } from "../src/dataset/read/tokenDataset.js";
import type { Vocabulary } from "../src/vocab/vocabulary.js";

/** A vocabulary of `size` pieces without a model file; sentinels count down from the padded top, as in mT5. */
export function memoryVocabulary(size = 1000, sentinels = 100): Vocabulary {
  const embeddingRows = Math.ceil((size + sentinels) / 128) * 128;
  return {
    path: "memory.model",
    fingerprint: "0".repeat(64),
    size,
    embeddingRows,
    padId: 0,
    eosId: 1,
    unkId: 2,
    sentinelIds: Array.from({ length: sentinels }, (_, k) => size + sentinels - 1 - k),
  };
}

interface MemoryLanguage {
  train: number;
  validation?: number;
  documents?: number;
}

/** The token at an offset of a memory dataset's run: ids from 10 to 900, another sequence for each language and split. */
export function memoryToken(language: string, split: Split, offset: number): number {
  const salt = [...language, split].reduce((sum, part) => sum * 31 + (part.codePointAt(0) ?? 0), 7) % 9973;
  return 10 + ((offset * 7919 + salt) % 891);
}

/** A tokenized dataset of made-up tokens that holds only their numbers. Languages in the order of a manifest: sorted. */
export function memoryDataset(
  sizes: Record<string, MemoryLanguage>,
  vocabulary: Vocabulary = memoryVocabulary(),
): TokenDataset {
  const codes = Object.keys(sizes).sort();
  const totals = (tokens: number, documents: number) => ({ shards: 1, documents, tokens, bytes: tokens });
  const manifest: DatasetManifest = {
    format: 1,
    vocabulary: { file: "memory.model", fingerprint: vocabulary.fingerprint, size: vocabulary.size },
    tokenType: "uint16",
    languages: Object.fromEntries(
      codes.map((code) => {
        const { train, validation = 0, documents = 1 } = sizes[code];
        return [code, { train: totals(train, documents), validation: totals(validation, 1) }];
      }),
    ),
    rejected: {},
    shards: [],
  };
  const run = (language: string, split: Split): TokenRun => {
    const { tokens, documents } = manifest.languages[language][split] ?? totals(0, 0);
    const read = (offset: number, out: Int32Array): void => {
      if (offset < 0 || offset + out.length > tokens) throw new RangeError(`read beyond the run of ${language}`);
      for (let i = 0; i < out.length; i++) out[i] = memoryToken(language, split, offset + i);
    };
    return { language, split, tokens, documents, read };
  };
  return {
    dir: "memory",
    manifest,
    vocabulary,
    languages: (split) => codes.filter((code) => run(code, split).tokens > 0),
    run,
    close: () => undefined,
  };
}
