import { unlinkSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isTemporaryName, putInPlace, syncDirectory, writeFileAtomic } from "../../base/atomicFile.js";
import { sha256File } from "../../base/hash.js";
import { DownloadFault, type HttpClient } from "../../corpus/remote/httpClient.js";
import { isImmutable, isRemote } from "../../corpus/remote/remoteFile.js";
import type { Shard } from "../../corpus/shards/shard.js";
import { tokenFileFault } from "../read/tokenFileFault.js";
import { type ShardRecord, shardRecordSchema } from "./manifest.js";

/** Rejections listed in a shard's record; all of them are counted. */
export const maxListedRejections = 1000;

/** The options that decide a shard's output, as they stand in its record. */
export function recordedOptions({ maxLineBytes }: { maxLineBytes: number }): ShardRecord["options"] {
  return { maxLineBytes };
}

/** Folder of the records inside a dataset's. */
export const recordFolder = ".records";

/** A shard's record without its list of rejections, which may be long. */
export type KnownShard = Omit<ShardRecord, "rejections">;

type ShardKey = Pick<Shard, "language" | "split" | "index" | "count">;

function stem({ language, split, index, count }: ShardKey): string {
  const number = (value: number): string => String(value).padStart(5, "0");
  return `${language}/${split}-${number(index)}-of-${number(count)}`;
}

/** Name of a shard's Arrow file, relative to the dataset's folder: `af/train-00000-of-00002.arrow`. */
export function tokenFileName(shard: ShardKey): string {
  return `${stem(shard)}.arrow`;
}

/** Path of a shard's record. */
export function recordPath(out: string, shard: ShardKey): string {
  return join(out, recordFolder, `${stem(shard)}.json`);
}

/** Name of the record of a token file, relative to the dataset's folder. */
export function recordFile(tokenFile: string): string {
  return join(recordFolder, tokenFile.replace(/\.arrow$/, ".json"));
}

/** Reads a record, or undefined where there is none that can be read: such a shard is not done. */
export async function readRecord(path: string): Promise<ShardRecord | undefined> {
  try {
    return shardRecordSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/**
 * Takes a shard that was tokenized into the dataset: its Arrow file first, then its record. Whatever happens on the way, either both
 * stand and agree, or there is no record.
 *
 * @param temporary the Arrow file, written whole but perhaps not to the disk yet
 */
export async function commitShard(out: string, record: ShardRecord, temporary: string): Promise<void> {
  await removeRecord(recordPath(out, record));
  await putInPlace(temporary, join(out, record.output.file));
  await writeFileAtomic(recordPath(out, record), `${JSON.stringify(record)}\n`);
}

/** Marks a shard as not done, durably, before its Arrow file is replaced. */
async function removeRecord(path: string): Promise<void> {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Paths of the records of a dataset, by language, split and index. */
export async function listRecords(out: string): Promise<string[]> {
  const paths: string[] = [];
  const languages = await readdir(join(out, recordFolder)).catch(() => []);
  for (const language of languages.sort()) {
    const names = await readdir(join(out, recordFolder, language));
    const whole = names.filter((name) => name.endsWith(".json") && !isTemporaryName(name));
    for (const name of whole.sort()) paths.push(join(out, recordFolder, language, name));
  }
  return paths;
}

/** Names of the Arrow files that lie in a dataset's folder, listed or not, relative to it. */
export async function listTokenFiles(out: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(out, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    for (const name of await readdir(join(out, entry.name))) {
      if (name.endsWith(".arrow") && !isTemporaryName(name)) files.push(`${entry.name}/${name}`);
    }
  }
  return files.sort();
}

/** Yields the readable records among `paths`, in their order; a few are held at a time. */
export async function* readRecords(paths: string[]): AsyncGenerator<ShardRecord> {
  const readAhead = 32;
  for (let i = 0; i < paths.length; i += readAhead) {
    for (const record of await Promise.all(paths.slice(i, i + readAhead).map(readRecord))) if (record) yield record;
  }
}

/** What a shard's output must have been made with to stand. */
export interface Wanted {
  /** Fingerprint of the vocabulary. */
  vocabulary: string;
  options: ShardRecord["options"];
  /** Read source and output in full and compare their hashes. */
  verify: boolean;
  /** Asks servers whether a source is still the same. */
  client: HttpClient;
}

/**
 * Whether a record still says the truth about its source and its Arrow file.
 *
 * The Arrow file is taken for whole when it has the recorded size. The source is taken for unchanged when it has the recorded
 * path and size and its inode was not touched (ctime: also by a copy that keeps the modification time) since the record was
 * written; where any of that fails but the size, its hash decides. What escapes is a file of equal size put in place by renaming
 * a folder above it, or a clock set back; `verify` trusts nothing but hashes.
 *
 * A source on a server is taken for unchanged when the server says so by its hash, or for the recorded address by its version and
 * size; and unasked where the address names one version for good. Where the server cannot say, the shard is done again.
 */
export async function isCurrent(out: string, shard: Shard, record: KnownShard, wanted: Wanted): Promise<boolean> {
  if (record.vocabulary !== wanted.vocabulary || !sameOptions(record.options, wanted.options)) return false;
  if (record.source.name !== shard.name) return false;
  const remote = isRemote(shard.path);
  if (!remote && record.source.bytes !== shard.bytes) return false;
  if (record.output.file !== tokenFileName(shard)) return false;
  if (await tokenFileFault(join(out, record.output.file), record.output, wanted.verify)) return false;
  if (remote) return isCurrentRemote(out, shard, record, wanted);
  const [source, marker] = await Promise.all([
    stat(shard.path).catch(() => undefined),
    stat(recordPath(out, shard)).catch(() => undefined),
  ]);
  if (source === undefined || marker === undefined) return false;
  const untouched = record.source.path === shard.path && source.ctimeMs < marker.mtimeMs;
  if (untouched && !wanted.verify) return true;
  if ((await sha256File(shard.path).catch(() => "")) !== record.source.sha256) return false;
  return untouched || moveRecord(out, shard, undefined);
}

async function isCurrentRemote(out: string, shard: Shard, record: KnownShard, wanted: Wanted): Promise<boolean> {
  const { source } = record;
  const samePlace = source.path === shard.path;
  if (samePlace && isImmutable(shard.path) && !wanted.verify) return true;
  // Nothing speaks against a shard whose server is down; what was finished is kept.
  const now = await wanted.client.head(shard.path).catch((error: unknown) => {
    if (error instanceof DownloadFault) return undefined;
    throw error;
  });
  if (now === undefined) return samePlace && !wanted.verify;
  if (now.sha256 !== undefined) {
    if (now.sha256 !== source.sha256) return false;
    return samePlace || moveRecord(out, shard, now.version);
  }
  if (!samePlace || wanted.verify) return false;
  return now.version !== undefined && now.version === source.version && (now.bytes ?? source.bytes) === source.bytes;
}

/** Writes a record anew for a source that was found elsewhere, so that the next run need not compare hashes again. */
async function moveRecord(out: string, shard: Shard, version: string | undefined): Promise<boolean> {
  const whole = await readRecord(recordPath(out, shard));
  if (whole === undefined) return false;
  const moved = { ...whole, source: { ...whole.source, path: shard.path, version } };
  await writeFileAtomic(recordPath(out, shard), `${JSON.stringify(moved)}\n`);
  return true;
}

function sameOptions(a: ShardRecord["options"], b: ShardRecord["options"]): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
