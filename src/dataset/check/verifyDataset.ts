import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { MswitchError, messageOf } from "../../base/errors.js";
import { sha256File } from "../../base/hash.js";
import type { Progress } from "../../base/progress.js";
import { addToManifest, manifestFile, quarantineFile, quarantineText } from "../format/buildManifest.js";
import type { DatasetManifest } from "../format/manifest.js";
import {
  listRecords,
  listTokenFiles,
  readRecord,
  recordFile,
  recordFolder,
  recordPath,
} from "../format/shardRecord.js";
import { tokenTypeFor } from "../format/tokenType.js";
import { readManifest, readVocabulary } from "../read/openDataset.js";
import { readRowBatches } from "../read/readRowBatches.js";
import {
  type DatasetFault,
  mendHint,
  redoHint,
  rewriteHint,
  type ShardEntry,
  tokenFileFault,
} from "../read/tokenFileFault.js";
import { compareWithRecords } from "./compareWithRecords.js";

export interface VerifySummary {
  dir: string;
  whole: boolean;
  /** Token files that `dataset.json` lists, and what was read of them. */
  shards: number;
  documents: number;
  tokens: number;
  /** Bytes of the token files that were read. */
  bytes: number;
  faults: DatasetFault[];
}

export interface VerifyOptions {
  /** Makes the bars: parts are languages, totals and amounts bytes of token files. */
  progress?: (parts: { name: string; total: number }[]) => Progress;
}

const strayHint =
  "run `mswitch preprocess` on its source too, or delete the file: who opens all *.arrow files reads it";

/**
 * Reads a tokenized dataset in full and holds it against itself: the vocabulary against its fingerprint, every token file against
 * its hash, size, rows, tokens and the vocabulary's size, every record against `dataset.json`, the totals and `quarantine.jsonl`
 * against the records; and looks for token files and records that `dataset.json` does not know. Sources are not needed.
 *
 * Memory: the manifest, and of one token file a record batch.
 *
 * @returns what was read and every fault; nothing that is damaged is thrown
 * @throws usageError where `dir` holds no dataset at all
 */
export async function verifyDataset(dir: string, { progress }: VerifyOptions = {}): Promise<VerifySummary> {
  const summary: VerifySummary = { dir, whole: false, shards: 0, documents: 0, tokens: 0, bytes: 0, faults: [] };
  const { faults } = summary;
  const manifest = await tried(() => readManifest(dir), manifestFile, faults);
  if (!manifest) {
    const begun = await stat(join(dir, recordFolder)).catch(() => undefined);
    if (!begun) await readManifest(dir);
    return summary;
  }
  const vocabulary = await tried(() => readVocabulary(dir, manifest), manifest.vocabulary.file, faults, mendHint);
  if (vocabulary) {
    const { size, embeddingRows } = vocabulary;
    const type = tokenTypeFor(embeddingRows);
    const says = `${manifest.vocabulary.size} pieces and ${manifest.tokenType}`;
    if (size !== manifest.vocabulary.size || type !== manifest.tokenType) {
      faults.push(
        fault(manifestFile, `says ${says}, the vocabulary has ${size} pieces and needs ${type}`, rewriteHint),
      );
    }
  }
  const textBytes = await checkRecords(dir, manifest, faults);

  const listed = new Set(manifest.shards.map(({ file }) => file));
  for (const file of await listTokenFiles(dir)) {
    if (!listed.has(file)) faults.push(fault(file, `is there, but not listed in ${manifestFile}`, strayHint));
  }
  const bars = manifest.shards.length > 0 ? progress?.(partsOf(manifest.shards)) : undefined;
  try {
    for (const shard of manifest.shards) {
      const path = join(dir, shard.file);
      const damage = await tokenFileFault(path, shard, true).catch((error) => `cannot be read: ${messageOf(error)}`);
      if (damage) faults.push(fault(shard.file, damage, mendHint));
      else {
        const wrong = await checkRows(path, shard, manifest, textBytes.get(shard.file), summary);
        if (wrong) faults.push(fault(shard.file, wrong, redoHint(recordFile(shard.file))));
      }
      bars?.advance(shard.language, shard.bytes, [shard.bytes]);
    }
  } finally {
    bars?.stop();
  }
  summary.whole = faults.length === 0;
  return summary;
}

/** Holds the records against the manifest. Gives the bytes of text that each sound record claims for its token file. */
async function checkRecords(
  dir: string,
  manifest: DatasetManifest,
  faults: DatasetFault[],
): Promise<Map<string, number>> {
  const textBytes = new Map<string, number>();
  const { content: _, ...fixed } = manifest;
  const rebuilt: DatasetManifest = { ...fixed, languages: {}, rejected: {}, shards: [] };
  const quarantine = createHash("sha256");
  const faulty = new Set<string>();
  for (const path of await listRecords(dir)) {
    const file = relative(dir, path);
    const record = await readRecord(path);
    const wrong = !record
      ? "cannot be read"
      : recordPath(dir, record) !== path
        ? `is the record of another shard (${record.output.file})`
        : record.vocabulary !== manifest.vocabulary.fingerprint
          ? "is of another vocabulary"
          : undefined;
    if (wrong || !record) {
      faulty.add(file);
      faults.push(fault(file, wrong ?? "", redoHint(file)));
      continue;
    }
    addToManifest(rebuilt, record);
    quarantine.update(quarantineText(record));
    textBytes.set(record.output.file, record.textBytes);
  }
  faults.push(...compareWithRecords(manifest, rebuilt, faulty));
  const hash = await sha256File(join(dir, quarantineFile)).catch(() => undefined);
  const wrong = hash === undefined ? "is absent" : "does not list what the records say was set aside";
  if (faulty.size === 0 && hash !== quarantine.digest("hex")) faults.push(fault(quarantineFile, wrong, rewriteHint));
  return textBytes;
}

/** What is wrong with the rows of a token file, or undefined; adds what was read of it to `summary`. */
async function checkRows(
  path: string,
  shard: ShardEntry,
  { vocabulary, tokenType }: DatasetManifest,
  textBytes: number | undefined,
  summary: VerifySummary,
): Promise<string | undefined> {
  const read = { documents: 0, tokens: 0, bytes: 0 };
  let line = 0;
  try {
    for await (const { offsets, tokens, lines, bytes } of readRowBatches(path, tokenType)) {
      for (let i = 0; i < tokens.length; i++) {
        if (tokens[i] >= vocabulary.size) {
          return `holds the id ${tokens[i]} (token ${read.tokens + i}), the vocabulary has ${vocabulary.size} pieces`;
        }
      }
      for (let i = 0; i < lines.length; i++) {
        if (lines[i] <= line) return `holds line ${lines[i]} of its source after line ${line}`;
        line = lines[i];
        read.bytes += bytes[i];
      }
      read.documents += lines.length;
      read.tokens += offsets[lines.length];
    }
  } catch (error) {
    if (error instanceof MswitchError) return `is damaged: ${error.why}`;
    return `cannot be read: ${messageOf(error)}`;
  }
  for (const [name, found, said] of [
    ["documents", read.documents, shard.documents],
    ["tokens", read.tokens, shard.tokens],
    ["bytes of text", read.bytes, textBytes ?? read.bytes],
  ] as const) {
    if (found !== said) return `holds ${found} ${name}, ${said} should be there`;
  }
  summary.shards++;
  summary.documents += read.documents;
  summary.tokens += read.tokens;
  summary.bytes += shard.bytes;
  return undefined;
}

/** What `read` gives, or undefined where it throws for the user: then that is a fault of `file`. */
async function tried<T>(
  read: () => Promise<T>,
  file: string,
  faults: DatasetFault[],
  otherHint?: string,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof MswitchError)) throw error;
    const { what, why, hint } = error;
    faults.push(fault(file, `cannot be used: ${what}${why ? ` (${why})` : ""}`, otherHint ?? hint ?? mendHint));
    return undefined;
  }
}

function fault(file: string, text: string, hint: string): DatasetFault {
  return { file, fault: text, hint };
}

function partsOf(shards: ShardEntry[]): { name: string; total: number }[] {
  const totals = new Map<string, number>();
  for (const { language, bytes } of shards) totals.set(language, (totals.get(language) ?? 0) + bytes);
  return [...totals].map(([name, total]) => ({ name, total }));
}
