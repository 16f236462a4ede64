import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { withAtomicFile, writeFileAtomic } from "../../base/atomicFile.js";
import { usageError } from "../../base/errors.js";
import { sha256File } from "../../base/hash.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { type DatasetManifest, datasetFormat, type ShardRecord } from "./manifest.js";
import type { RecordIndex } from "./recordIndex.js";
import { holdsPairs, type KnownShard, readRecord } from "./shardRecord.js";
import { tokenTypeFor } from "./tokenType.js";

/** Names inside a dataset's folder. */
export const manifestFile = "dataset.json";
export const vocabularyFile = "vocabulary.model";
export const quarantineFile = "quarantine.jsonl";

export function emptyManifest(vocabulary: Vocabulary): DatasetManifest {
  return {
    format: datasetFormat,
    vocabulary: { file: vocabularyFile, fingerprint: vocabulary.fingerprint, size: vocabulary.size },
    tokenType: tokenTypeFor(vocabulary.embeddingRows),
    languages: {},
    rejected: {},
    shards: [],
  };
}

/** Adds a shard to a manifest. Shards must come in reading order: by language, split and index. */
export function addToManifest(manifest: DatasetManifest, record: KnownShard): void {
  const { language, split, documents, tokens, textBytes, output } = record;
  manifest.languages[language] ??= {};
  const splits = manifest.languages[language];
  splits[split] ??= { shards: 0, documents: 0, tokens: 0, bytes: 0 };
  const totals = splits[split];
  totals.shards++;
  totals.documents += documents;
  totals.tokens += tokens;
  totals.bytes += textBytes;
  if (holdsPairs(record)) manifest.content = "pairs";
  addCounts(manifest.rejected, record.rejected);
  const { file, bytes, sha256 } = output;
  manifest.shards.push({ file, language, split, documents, tokens, bytes, sha256 });
}

/** Adds counts by name, keeping the names sorted, so that the order of adding does not show. */
export function addCounts(into: Record<string, number>, counts: Record<string, number>): void {
  for (const [name, count] of Object.entries(counts)) into[name] = (into[name] ?? 0) + count;
  for (const name of Object.keys(into).sort()) {
    const count = into[name];
    delete into[name];
    into[name] = count;
  }
}

/**
 * Merges the records into `dataset.json` and `quarantine.jsonl`; files that say it already are left alone. Several processes may
 * do so at once: whichever writes last looks for records that were written meanwhile and, where there are some, merges again.
 */
export async function writeManifest(out: string, vocabulary: Vocabulary, records: RecordIndex): Promise<void> {
  const manifestPath = join(out, manifestFile);
  const quarantinePath = join(out, quarantineFile);
  await records.refresh();
  do {
    const manifest = emptyManifest(vocabulary);
    for (const [, record] of records.inOrder()) {
      // Two runs with two vocabularies may have begun in an empty folder at the same moment.
      if (record.vocabulary !== vocabulary.fingerprint) throw otherVocabulary(out, vocabulary, record.vocabulary);
      addToManifest(manifest, record);
    }
    const hash = createHash("sha256");
    for await (const text of quarantineTexts(records)) hash.update(text);
    if ((await sha256File(quarantinePath).catch(() => "")) !== hash.digest("hex")) {
      await withAtomicFile(quarantinePath, async (file) => {
        for await (const text of quarantineTexts(records)) await file.writeFile(text);
      });
    }
    const text = `${JSON.stringify(manifest, null, 1)}\n`;
    if ((await readFile(manifestPath, "utf8").catch(() => "")) !== text) await writeFileAtomic(manifestPath, text);
  } while (await records.refresh());
}

/** What the quarantine file says of each shard. Only records that list rejections are read for it. */
async function* quarantineTexts(records: RecordIndex): AsyncGenerator<string> {
  for (const [path, { listsRejections }] of records.inOrder()) {
    const record = listsRejections ? await readRecord(path) : undefined;
    if (record) yield quarantineText(record);
  }
}

/** One line of JSON a rejection that the record lists, and one that counts those it does not. */
export function quarantineText({ source, rejected, rejections }: ShardRecord): string {
  const file = source.path;
  const lines: object[] = rejections.map(({ line, cause, detail }) => ({ file, line, cause, detail }));
  const omitted = sumOf(rejected) - lines.length;
  if (omitted > 0) lines.push({ file, omitted });
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Sum of counts by name. */
export function sumOf(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** @param other fingerprint of the one that the folder was made with */
export function otherVocabulary(out: string, vocabulary: Vocabulary, other: string): Error {
  return usageError("the output folder holds a dataset of another vocabulary", {
    code: "vocabulary-dataset-mismatch",
    where: out,
    why: `it was made with ${other.slice(0, 12)}…, ${vocabulary.path} is ${vocabulary.fingerprint.slice(0, 12)}…`,
    hint: `use the vocabulary that lies in it (${join(out, vocabularyFile)}), or name another output folder`,
  });
}
