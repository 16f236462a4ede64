import { stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { sha256File } from "../../base/hash.js";
import { DownloadFault, type HttpClient } from "../../corpus/remote/httpClient.js";
import { isImmutable, isRemote } from "../../corpus/remote/remoteFile.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { ShardRecord } from "../format/manifest.js";
import type { IndexedRecord } from "../format/recordIndex.js";
import { readRecord, recordedOptions, recordPath, tokenFileName } from "../format/shardRecord.js";
import { tokenFileFault } from "../read/tokenFileFault.js";

/** What a shard's output must have been made with to stand. */
export interface Wanted {
  /** Fingerprint of the vocabulary. */
  vocabulary: string;
  /** Longest line taken. */
  maxLineBytes: number;
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
export async function isCurrent(out: string, shard: Shard, record: IndexedRecord, wanted: Wanted): Promise<boolean> {
  if (record.vocabulary !== wanted.vocabulary || !sameOptions(record.options, recordedOptions(shard, wanted)))
    return false;
  if (record.source.name !== shard.name) return false;
  const remote = isRemote(shard.path);
  if (!remote && record.source.bytes !== shard.bytes) return false;
  if (record.output.file !== tokenFileName(shard)) return false;
  if (await tokenFileFault(join(out, record.output.file), record.output, wanted.verify)) return false;
  if (remote) return isCurrentRemote(out, shard, record, wanted);
  const source = await stat(shard.path).catch(() => undefined);
  if (source === undefined) return false;
  const untouched = record.source.path === shard.path && source.ctimeMs < record.writtenMs;
  if (untouched && !wanted.verify) return true;
  if ((await sha256File(shard.path).catch(() => "")) !== record.source.sha256) return false;
  return untouched || moveRecord(out, shard, undefined);
}

async function isCurrentRemote(out: string, shard: Shard, record: IndexedRecord, wanted: Wanted): Promise<boolean> {
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
