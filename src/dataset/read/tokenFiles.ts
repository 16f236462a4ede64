import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors.js";
import { readTokenBlocks, type TokenBlocks } from "../format/arrowBlocks.js";
import type { DatasetManifest } from "../format/manifest.js";
import { damagedTokenFile, type ShardEntry } from "./tokenFileFault.js";

/** Files held open at a time; the usual limit of a process is 1024. */
const maxOpenFiles = 128;
/** Tokens read from disk in one piece. */
const readTokens = 2 ** 16;

/**
 * The Arrow files of a dataset, opened when they are first read, a bounded number at a time. What is kept of a file after it is
 * closed is the place of its record batches: 16 bytes for about a million tokens.
 */
export class TokenFiles {
  /** Least recently used first. */
  private readonly open = new Map<string, number>();
  private readonly blocks = new Map<string, TokenBlocks>();
  private readonly scratch = Buffer.alloc(readTokens * 4);

  /** @param vocabularySize ids from here on are damage */
  constructor(
    private readonly dir: string,
    private readonly tokenType: DatasetManifest["tokenType"],
    private readonly vocabularySize: number,
  ) {}

  /** Reads tokens [offset, offset + out.length) of one file into `out`. */
  read(shard: ShardEntry, offset: number, out: Int32Array): void {
    const path = join(this.dir, shard.file);
    const fd = this.descriptor(path);
    const { width, starts, positions } = this.blocksOf(path, fd, shard);
    let batch = lastAtMost(starts, offset);
    for (let done = 0; done < out.length; ) {
      while (starts[batch + 1] <= offset + done) batch++;
      const within = offset + done - starts[batch];
      const count = Math.min(out.length - done, starts[batch + 1] - offset - done, readTokens);
      const bytes = this.scratch.subarray(0, count * width);
      this.readBytes(path, fd, bytes, positions[batch] + within * width);
      for (let i = 0; i < count; i++) {
        const id = width === 2 ? bytes.readUInt16LE(2 * i) : bytes.readUInt32LE(4 * i);
        if (id >= this.vocabularySize) {
          throw damagedTokenFile(
            path,
            `token ${offset + done + i} is ${id}, the vocabulary has ${this.vocabularySize} pieces`,
          );
        }
        out[done + i] = id;
      }
      done += count;
    }
  }

  close(): void {
    for (const fd of this.open.values()) closeSync(fd);
    this.open.clear();
  }

  private descriptor(path: string): number {
    let fd = this.open.get(path);
    if (fd === undefined) {
      if (this.open.size >= maxOpenFiles) {
        const [oldest, oldestFd] = this.open.entries().next().value!;
        this.open.delete(oldest);
        closeSync(oldestFd);
      }
      try {
        fd = openSync(path, "r");
      } catch (error) {
        throw damagedTokenFile(path, messageOf(error));
      }
    } else {
      this.open.delete(path);
    }
    this.open.set(path, fd);
    return fd;
  }

  private blocksOf(path: string, fd: number, shard: ShardEntry): TokenBlocks {
    const known = this.blocks.get(path);
    if (known) return known;
    const blocks = readTokenBlocks(fd, shard.bytes, path);
    const tokens = blocks.starts[blocks.starts.length - 1];
    if (tokens !== shard.tokens)
      throw damagedTokenFile(path, `it holds ${tokens} tokens, dataset.json says ${shard.tokens}`);
    if (blocks.width !== (this.tokenType === "uint16" ? 2 : 4))
      throw damagedTokenFile(path, `its tokens are not ${this.tokenType}`);
    this.blocks.set(path, blocks);
    return blocks;
  }

  private readBytes(path: string, fd: number, into: Buffer, position: number): void {
    let read = 0;
    try {
      read = readSync(fd, into, 0, into.length, position);
    } catch (error) {
      throw damagedTokenFile(path, messageOf(error));
    }
    if (read !== into.length) throw damagedTokenFile(path, `it ends before byte ${position + into.length}`);
  }
}

/** Index of the last element that is at most `value`, in an ascending array that begins with one. */
export function lastAtMost(ascending: Float64Array, value: number): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (ascending[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
