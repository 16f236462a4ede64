import { stat } from "node:fs/promises";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import type { ShardRecord } from "./manifest.js";
import { type KnownShard, listRecords, readRecord, recordPath, type ShardKey } from "./shardRecord.js";

/** Small files read at a time. */
const readsAtOnce = 32;

/** A record as the index keeps it: rejections, of which there may be 1000, stay on the disk. */
export interface IndexedRecord extends KnownShard {
  /** When the file was written, milliseconds since 1970. */
  writtenMs: number;
  /** Whether the file lists rejections. */
  listsRejections: boolean;
}

interface Entry {
  /** Time and size of the file. */
  state: string;
  /** Undefined where the file cannot be read: such a shard is not done. */
  record: IndexedRecord | undefined;
}

/**
 * The records of a dataset's folder, each read once: about a kilobyte a shard, 60 MB for mC4's 59,410. Other processes may write
 * records at the same time; `refresh` reads those and no others.
 */
export class RecordIndex {
  private entries = new Map<string, Entry>();

  private constructor(private readonly out: string) {}

  /** Reads all records of a folder; a folder that is not there has none. */
  static async open(out: string): Promise<RecordIndex> {
    const index = new RecordIndex(out);
    await index.refresh();
    return index;
  }

  /** Reads the records that were written since, forgets those that are gone. Returns whether there were any. */
  async refresh(): Promise<boolean> {
    const paths = await listRecords(this.out);
    const found = new Map<string, Entry | undefined>(paths.map((path) => [path, undefined]));
    let changed = paths.length !== this.entries.size;
    await forEachConcurrently(paths, readsAtOnce, async (path) => {
      const before = this.entries.get(path);
      const now = await this.readIfChanged(path, before);
      if (now !== before) changed = true;
      found.set(path, now);
    });
    this.entries = new Map([...found].flatMap(([path, entry]) => (entry ? [[path, entry]] : [])));
    return changed;
  }

  /** Takes in a record that this process has just written. */
  async add(record: ShardRecord): Promise<void> {
    const path = recordPath(this.out, record);
    const file = await stat(path).catch(() => undefined);
    // Another process that did the same shard may be putting its own in place: `refresh` finds that.
    if (!file) return;
    this.entries.set(path, { state: `${file.mtimeMs} ${file.size}`, record: indexed(record, file.mtimeMs) });
  }

  get(shard: ShardKey): IndexedRecord | undefined {
    return this.entries.get(recordPath(this.out, shard))?.record;
  }

  /** All records by language, split and index, each with its path. */
  *inOrder(): Generator<[path: string, record: IndexedRecord]> {
    const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    const order = [...this.entries].flatMap(([path, { record }]) => (record ? [[path, record] as const] : []));
    order.sort(([a, one], [b, other]) => compare(one.language, other.language) || compare(a, b));
    for (const [path, record] of order) yield [path, record];
  }

  /** Paths of records that cannot be read: their shards are not done, whatever lies in their places. */
  unreadable(): string[] {
    return [...this.entries].flatMap(([path, { record }]) => (record ? [] : [path])).sort();
  }

  private async readIfChanged(path: string, before: Entry | undefined): Promise<Entry | undefined> {
    const file = await stat(path).catch(() => undefined);
    if (!file) return undefined;
    const state = `${file.mtimeMs} ${file.size}`;
    if (before?.state === state) return before;
    const record = await readRecord(path);
    return { state, record: record && indexed(record, file.mtimeMs) };
  }
}

function indexed({ rejections, ...known }: ShardRecord, writtenMs: number): IndexedRecord {
  return { ...known, writtenMs, listsRejections: rejections.length > 0 };
}
