import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { withAtomicFile, writeFileAtomic } from "../../base/atomicFile.js";
import { usageError } from "../../base/errors.js";
import { sha256File } from "../../base/hash.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { type DatasetManifest, datasetFormat, type ShardRecord } from "./manifest.js";
import { listRecords, readRecords } from "./shardRecord.js";
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
export function addToManifest(manifest: DatasetManifest, record: ShardRecord): void {
  const { language, split, documents, tokens, textBytes, output } = record;
  manifest.languages[language] ??= {};
  const splits = manifest.languages[language];
  splits[split] ??= { shards: 0, documents: 0, tokens: 0, bytes: 0 };
  const totals = splits[split];
  totals.shards++;
  totals.documents += documents;
  totals.tokens += tokens;
  totals.bytes += textBytes;
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
export async function writeManifest(out: string, vocabulary: Vocabulary): Promise<void> {
  const manifestPath = join(out, manifestFile);
  const quarantinePath = join(out, quarantineFile);
  for (let state = ""; ; ) {
    const now = await stateOfRecords(out);
    if (now === state) return;
    state = now;
    const manifest = emptyManifest(vocabulary);
    const quarantine = createHash("sha256");
    for await (const record of readRecords(await listRecords(out))) {
      // Two runs with two vocabularies may have begun in an empty folder at the same moment.
      if (record.vocabulary !== vocabulary.fingerprint) throw otherVocabulary(out, vocabulary, record.vocabulary);
      addToManifest(manifest, record);
      quarantine.update(quarantineText(record));
    }
    if ((await sha256File(quarantinePath).catch(() => "")) !== quarantine.digest("hex")) {
      await withAtomicFile(quarantinePath, async (file) => {
        for await (const record of readRecords(await listRecords(out))) await file.writeFile(quarantineText(record));
      });
    }
    const text = `${JSON.stringify(manifest, null, 1)}\n`;
    if ((await readFile(manifestPath, "utf8").catch(() => "")) !== text) await writeFileAtomic(manifestPath, text);
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

async function stateOfRecords(out: string): Promise<string> {
  const paths = await listRecords(out);
  const states: string[] = [];
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    states.push(`${path} ${found?.mtimeMs} ${found?.size}`);
  }
  return states.join("\n") || "none";
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
