import { link, open, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { isTemporaryName, removeStaleTemporaries, temporaryName, writeFileAtomic } from "../../base/atomicFile.js";
import { messageOf, usageError } from "../../base/errors.js";
import { cacheWriteError, isDiskFull } from "../../base/files/fileSystemError.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import { sha256 } from "../../base/hash.js";
import { userCache } from "../../base/userCache.js";
import { downloadFile } from "./downloadFile.js";
import type { HttpClient } from "./httpClient.js";
import { isImmutable } from "./remoteFile.js";

/** Downloads at a time: enough to fill most lines, few enough for a public server. */
export const defaultConnections = 8;

/** Bytes; about a hundred of mC4's larger shards. */
export const defaultCacheBytes = 32e9;

const entrySchema = z.strictObject({
  url: z.string(),
  bytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  version: z.string().optional(),
});
type Entry = z.infer<typeof entrySchema>;

/** A downloaded file in use. It stays where it is until it is let go of. */
export interface Lease extends Omit<Entry, "url"> {
  /** Path of the local copy. */
  file: string;
  /** Lets go of the copy; the cache may keep it for the next run. */
  release(): Promise<void>;
  /** Lets go of the copy and forgets it: it was found damaged. */
  discard(): Promise<void>;
}

/** `$XDG_CACHE_HOME/mswitch/shards`, or below `~/.cache`. */
export function defaultCacheDirectory(): string {
  return userCache("shards");
}

/**
 * Downloaded files, kept up to a number of bytes; the least recently used go first. Any number of processes may share one.
 *
 * A file lies under its hash, `HASH.shard`, and `KEY.json` says which address it came from. Whoever uses it has a hard link of
 * its own to it, so that nothing another process does can take it away; a file with more than one link is in use, and the links
 * of dead processes are removed by the next one.
 */
export class ShardCache {
  private evicting: Promise<void> = Promise.resolve();

  /** Use `openShardCache`. */
  constructor(
    private readonly directory: string,
    private readonly maxBytes: number,
    private readonly client: HttpClient,
  ) {}

  /**
   * The file at an address: the copy that is here if the server says that it is still the same, or a new one.
   *
   * @throws DownloadFault where it cannot be had; MswitchError where the cache cannot be written or the run is
   *   aborted
   */
  async obtain(url: string): Promise<Lease> {
    const record = join(this.directory, `${sha256(url).slice(0, 32)}.json`);
    const pin = temporaryName(join(this.directory, "shard"));
    const entry = (await this.cached(url, record, pin)) ?? (await this.download(url, record, pin));
    const copy = this.copyOf(entry);
    const release = async (): Promise<void> => {
      await rm(pin, { force: true });
      await this.evict();
    };
    const discard = async (): Promise<void> => {
      await rm(copy, { force: true });
      await release();
    };
    return { ...entry, file: pin, release, discard };
  }

  private copyOf(entry: Entry): string {
    return join(this.directory, `${entry.sha256}.shard`);
  }

  private async cached(url: string, record: string, pin: string): Promise<Entry | undefined> {
    const entry = await readFile(record, "utf8").then(
      (text) => entrySchema.safeParse(parseJson(text)).data,
      () => undefined,
    );
    if (entry?.url !== url) return undefined;
    const copy = this.copyOf(entry);
    const pinned = await link(copy, pin).then(
      () => true,
      () => false,
    );
    if (!pinned) return undefined;
    const now = new Date();
    // Last use decides what is evicted, and whether another machine's link may be a dead one's.
    await utimes(pin, now, now).catch(() => undefined);
    const size = (await stat(pin)).size;
    if (size === entry.bytes && (isImmutable(url) || (await this.isSame(entry)))) return entry;
    await rm(pin, { force: true });
    if (size !== entry.bytes) await rm(copy, { force: true });
    return undefined;
  }

  private async isSame(entry: Entry): Promise<boolean> {
    const now = await this.client.head(entry.url);
    if (now.sha256 !== undefined) return now.sha256 === entry.sha256;
    return now.version !== undefined && now.version === entry.version && (now.bytes ?? entry.bytes) === entry.bytes;
  }

  private async download(url: string, record: string, pin: string): Promise<Entry> {
    const handle = await open(pin, "wx").catch((error) => {
      throw cacheWriteError(error, this.directory);
    });
    try {
      const entry: Entry = { url, ...(await downloadFile(this.client, url, handle, pin)) };
      await handle.sync().catch((error) => {
        throw cacheWriteError(error, this.directory);
      });
      await handle.close();
      if (this.maxBytes > 0) await this.keep(entry, record, pin);
      await this.evict();
      return entry;
    } catch (error) {
      await handle.close().catch(() => undefined);
      await rm(pin, { force: true });
      throw error;
    }
  }

  private async keep(entry: Entry, record: string, pin: string): Promise<void> {
    const second = temporaryName(join(this.directory, "shard"));
    try {
      await link(pin, second);
      await rename(second, this.copyOf(entry));
      await writeFileAtomic(record, `${JSON.stringify(entry)}\n`);
    } catch (error) {
      await rm(second, { force: true });
      // Not kept for another run; this one has its link.
      if (!isDiskFull(error)) throw cacheWriteError(error, this.directory);
    }
  }

  /** Removes what has not been used for longest, and is not in use, until the rest is within bounds. */
  private evict(): Promise<void> {
    this.evicting = this.evicting.then(() => evict(this.directory, this.maxBytes)).catch(() => undefined);
    return this.evicting;
  }
}

/**
 * Makes a cache's folder ready.
 *
 * @param maxBytes what it may hold beyond the files in use; 0 keeps nothing
 * @throws usageError where the folder cannot be written or does not know hard links
 */
export async function openShardCache(directory: string, maxBytes: number, client: HttpClient): Promise<ShardCache> {
  const probe = temporaryName(join(directory, "probe"));
  try {
    makeDirectory(directory);
    await removeStaleTemporaries(directory);
    await (await open(probe, "wx")).close();
    await link(probe, `${probe}-link`);
  } catch (error) {
    throw usageError("the cache folder cannot be used", {
      code: "cache-unusable",
      where: directory,
      why: messageOf(error),
      hint: "name another --cache-dir, on a disk of this machine",
    });
  } finally {
    for (const path of [probe, `${probe}-link`]) await rm(path, { force: true }).catch(() => undefined);
  }
  return new ShardCache(directory, maxBytes, client);
}

async function evict(directory: string, maxBytes: number): Promise<void> {
  const names = await readdir(directory);
  const copies: { path: string; bytes: number; used: number; links: number }[] = [];
  const counted = new Set<number>();
  let total = 0;
  for (const name of names) {
    if (name.endsWith(".json")) continue;
    const path = join(directory, name);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) continue;
    if (!counted.has(found.ino)) total += found.size;
    counted.add(found.ino);
    const { size: bytes, mtimeMs: used, nlink: links } = found;
    if (name.endsWith(".shard") && !isTemporaryName(name)) copies.push({ path, bytes, used, links });
  }
  copies.sort((a, b) => a.used - b.used);
  for (const { path, bytes, links } of copies) {
    if (total <= maxBytes) return;
    // In use. Should it come into use only now, its new user has a link and keeps the bytes.
    if (links > 1) continue;
    await rm(path, { force: true });
    total -= bytes;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
