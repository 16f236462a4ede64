import { join } from "node:path";
import {
  emptyCounts,
  type InspectReport,
  type LanguageTokens,
  type ShownDocument,
  shownTokens,
  sumCounts,
  withRates,
} from "../../analysis/tokenStatistics.js";
import { usageError } from "../../base/errors.js";
import type { Progress } from "../../base/progress.js";
import { createDecoder, type PieceDecoder } from "../../vocab/encode/createDecoder.js";
import { vocabularyOf } from "../../vocab/loadVocabulary.js";
import { readModelFile } from "../../vocab/sentencepiece/modelFile.js";
import type { DatasetManifest } from "../format/manifest.js";
import { readRecord, recordFile } from "../format/shardRecord.js";
import { countTokens, type PieceTable, pieceTable } from "../read/countTokens.js";
import { readManifest } from "../read/openDataset.js";
import { type RowBatch, readRowBatches } from "../read/readRowBatches.js";
import { damagedTokenFile, type ShardEntry } from "../read/tokenFileFault.js";
import { createSourceTally, datesOf } from "./describeSources.js";

export interface InspectOptions {
  /** Codes as the dataset has them; all where absent. */
  languages?: readonly string[];
  /** Documents to show of each language, spread evenly over those that are read. */
  documents?: number;
  /** Token files to read of each language, the first ones; all where absent. */
  shards?: number;
  /** The vocabulary, where the dataset's own copy is not to be used. */
  vocab?: string;
  progress?: (parts: { name: string; total: number }[]) => Progress;
}

/**
 * Counts the tokens of a dataset by language and shows some of its documents: where they came from, their pieces and ids.
 *
 * Memory: the manifest, the vocabulary, and of one token file a record batch.
 *
 * @throws usageError for a language that the dataset does not have, or another vocabulary; MswitchError where a file is damaged
 */
export async function inspectDataset(dir: string, options: InspectOptions = {}): Promise<InspectReport> {
  const { languages, documents = 0, shards: shardLimit = Number.POSITIVE_INFINITY, vocab, progress } = options;
  const manifest = await readManifest(dir);
  const model = readModelFile(vocab ?? join(dir, manifest.vocabulary.file));
  const { fingerprint, size } = vocabularyOf(model);
  if (fingerprint !== manifest.vocabulary.fingerprint) {
    throw usageError("the dataset was made with another vocabulary", {
      code: "vocabulary-dataset-mismatch",
      where: model.path,
      why: `it has ${fingerprint.slice(0, 12)}…, the dataset's is ${manifest.vocabulary.fingerprint.slice(0, 12)}…`,
      hint: `use the one that lies in the dataset (${join(dir, manifest.vocabulary.file)})`,
    });
  }
  const codes = Object.keys(manifest.languages).filter((code) => languages?.includes(code) ?? true);
  const unknown = languages?.find((code) => !codes.includes(code));
  if (unknown !== undefined || codes.length === 0) {
    throw usageError(unknown ? `the dataset holds no ${unknown}` : "the dataset is empty", {
      code: "language-not-in-dataset",
      where: dir,
      why: `its languages are ${Object.keys(manifest.languages).join(", ") || "none"}`,
    });
  }

  const table = pieceTable(model);
  const decoder = createDecoder(model);
  const chosen = codes.map((code) => shardsOf(manifest, code, shardLimit));
  const total = (shards: ShardEntry[]): number => shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const bars = progress?.(codes.map((name, i) => ({ name, total: total(chosen[i]) })));
  const tally = createSourceTally();
  const report: InspectReport = {
    dir,
    vocabulary: { fingerprint, size },
    languages: [],
    total: withRates(emptyCounts(), { language: "total", shards: 0, allShards: 0 }),
    documents: [],
    sources: [],
    dates: {},
    setAside: tally.setAside,
    withoutValidation: codes.filter((code) => !((manifest.languages[code].validation?.tokens ?? 0) > 0)),
  };
  try {
    for (const [i, language] of codes.entries()) {
      const counts = emptyCounts();
      const pick = everyNth(
        chosen[i].reduce((sum, shard) => sum + shard.documents, 0),
        documents,
      );
      for (const shard of chosen[i]) {
        const path = join(dir, shard.file);
        const record = await readRecord(join(dir, recordFile(shard.file)));
        const source = record?.source.path;
        if (record) {
          tally.add(record);
          const dates = shard === chosen[i][0] ? await datesOf(record) : null;
          if (dates) report.dates[language] = dates;
        }
        for await (const batch of readRowBatches(path, manifest.tokenType)) {
          report.documents.push(...pickDocuments(shard, source, batch, counts.documents, pick, decoder, size));
          count(batch, path, table, counts);
        }
        bars?.advance(language, shard.bytes, [shard.bytes]);
      }
      const allShards = shardsOf(manifest, language, Number.POSITIVE_INFINITY).length;
      report.languages.push(withRates(counts, { language, shards: chosen[i].length, allShards }));
    }
  } finally {
    bars?.stop();
  }
  const sum = (key: "shards" | "allShards"): number => report.languages.reduce((all, one) => all + one[key], 0);
  const all: Pick<LanguageTokens, "language" | "shards" | "allShards"> = {
    language: "total",
    shards: sum("shards"),
    allShards: sum("allShards"),
  };
  return { ...report, sources: tally.sources(), total: withRates(sumCounts(report.languages), all) };
}

function shardsOf(manifest: DatasetManifest, code: string, limit: number): ShardEntry[] {
  return manifest.shards.filter(({ language }) => language === code).slice(0, limit);
}

/** Numbers of `wanted` documents spread evenly over `all`. */
function everyNth(all: number, wanted: number): Set<number> {
  const count = Math.min(wanted, all);
  return new Set(Array.from({ length: count }, (_, i) => Math.floor((i * all) / count)));
}

function count(batch: RowBatch, path: string, table: PieceTable, counts: Parameters<typeof countTokens>[2]): void {
  const id = countTokens(batch, table, counts);
  if (id !== undefined) {
    throw damagedTokenFile(path, `it holds the id ${id}, the vocabulary has ${table.words.length} pieces`);
  }
}

/** The documents of a batch that `pick` takes; `before` documents of the language were read before it. */
function pickDocuments(
  { file, language, split }: ShardEntry,
  source: string | undefined,
  { offsets, tokens, lines, bytes }: RowBatch,
  before: number,
  pick: ReadonlySet<number>,
  decoder: PieceDecoder,
  size: number,
): ShownDocument[] {
  const shown: ShownDocument[] = [];
  for (let row = 0; row < lines.length; row++) {
    if (!pick.has(before + row)) continue;
    const end = Math.min(offsets[row + 1], offsets[row] + shownTokens);
    const ids = Array.from(tokens.subarray(offsets[row], end));
    if (ids.some((id) => id >= size)) continue;
    shown.push({
      language,
      split,
      source: source ?? file,
      line: lines[row],
      bytes: bytes[row],
      tokens: offsets[row + 1] - offsets[row],
      ids,
      pieces: ids.map(decoder.pieceOf),
      text: decoder.decode(ids),
    });
  }
  return shown;
}
