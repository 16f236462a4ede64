import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryName } from "../../base/atomicFile.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import type { Rejection } from "../../corpus/read/document.js";
import { readShard } from "../../corpus/read/readShard.js";
import { StageClock, type StageSeconds } from "../../corpus/read/stageClock.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { Encoder } from "../../vocab/encode/encoder.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { type BatchBuffers, TokenFileWriter } from "../format/arrowWriter.js";
import { datasetFormat, type ShardRecord } from "../format/manifest.js";
import { maxListedRejections, recordedOptions, tokenFileName } from "../format/shardRecord.js";

/** What every shard of a run is tokenized with. Plain data, sent to the workers. */
export interface TokenizeOptions {
  /** The dataset's folder. */
  out: string;
  vocabulary: Vocabulary;
  maxLineBytes: number;
}

/** Work done since the last report. */
export interface ShardProgress {
  tokens: number;
  /** UTF-8 bytes of text. */
  textBytes: number;
}

/** A shard that was tokenized. */
export interface TokenizedShard {
  record: ShardRecord;
  /** Its Arrow file, under a name that is not yet its own: `commitShard` takes it from there. */
  temporary: string;
  cost: ShardCost;
}

/** What a shard has cost. It depends on the machine, so it is told and not recorded. */
export interface ShardCost {
  seconds: StageSeconds;
  /** Bytes of JSON that were read. */
  inflatedBytes: number;
}

/** The shard cannot be tokenized now; nothing is wrong with the others. It is no part of the dataset until a later run mends it. */
export class ShardFault extends Error {}

/** The run is being ended; the shard was dropped. */
export class Dropped extends Error {}

/**
 * Tokenizes one shard into a temporary file beside its Arrow file's place. Files are read and written in the calling thread, which has
 * nothing else to do; what waits for the disk, `commitShard`, is for another one.
 *
 * @param buffers the writer's, for one shard at a time
 * @param dropped asked between pieces of the shard: where it says so, the shard is dropped and leaves nothing behind
 * @throws ShardFault, Dropped; an error of the file system where the output cannot be written
 */
export async function tokenizeShard(
  shard: Shard,
  encoder: Encoder,
  buffers: BatchBuffers,
  { out, vocabulary, maxLineBytes }: TokenizeOptions,
  dropped: () => boolean,
  onProgress: (progress: ShardProgress) => void,
): Promise<TokenizedShard> {
  const { name, path, language, split, index, count, copy } = shard;
  const read = copy?.file ?? path;
  const file = tokenFileName(shard);
  const metadata = { source: name, language, split, vocabulary: vocabulary.fingerprint };
  const rejected: Record<string, number> = {};
  const rejections: Rejection[] = [];
  const totals = { documents: 0, tokens: 0, textBytes: 0 };
  let source = { bytes: 0, sha256: "" };
  let output = { bytes: 0, sha256: "" };
  let inflatedBytes = 0;
  const clock = new StageClock();

  const before = stateOf(read);
  const temporary = temporaryName(join(out, file));
  makeDirectory(dirname(temporary));
  const target = openSync(temporary, "wx");
  try {
    try {
      const writer = new TokenFileWriter(target, buffers, metadata);
      clock.lap("write");
      for await (const chunk of readShard(shard, { maxLineBytes, clock })) {
        const progress = { tokens: 0, textBytes: 0 };
        for (const { text, targets, line } of chunk.documents) {
          const ids = targets ? encodePair(encoder, text, targets, vocabulary.eosId) : encoder.encode(text);
          const bytes = text.length + (targets?.length ?? 0);
          if (writer.add(ids, line, bytes)) {
            clock.lap("encode");
            writer.flush();
            clock.lap("write");
          }
          totals.documents++;
          progress.tokens += ids.length;
          progress.textBytes += bytes;
        }
        clock.lap("encode");
        for (const rejection of chunk.rejections) {
          if (rejection.cause === "unreadable") throw new ShardFault(rejection.detail);
          rejected[rejection.cause] = (rejected[rejection.cause] ?? 0) + 1;
          if (rejections.length < maxListedRejections) rejections.push(rejection);
        }
        totals.tokens += progress.tokens;
        totals.textBytes += progress.textBytes;
        onProgress(progress);
        if (dropped()) throw new Dropped();
        if (chunk.summary) {
          source = { bytes: chunk.summary.bytes, sha256: chunk.summary.sha256 };
          inflatedBytes = chunk.summary.inflatedBytes;
        }
      }
      // Other processes that use the copy touch its inode, so there its hash decides.
      const same = copy ? source.sha256 === copy.sha256 : stateOf(read) === before;
      if (!same) throw new ShardFault(`the ${copy ? "downloaded copy" : "file"} was changed while it was being read`);
      output = writer.finish();
    } finally {
      closeSync(target);
    }
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  const record: ShardRecord = {
    format: datasetFormat,
    source: { name, path, ...source, version: copy?.version },
    language,
    split,
    index,
    count,
    vocabulary: vocabulary.fingerprint,
    options: recordedOptions(shard, { maxLineBytes }),
    ...totals,
    rejected: Object.fromEntries(Object.entries(rejected).sort()),
    rejections: rejections.map(({ line, cause, detail }) => ({ line, cause, detail })),
    output: { file, ...output },
  };
  clock.lap("write");
  return { record, temporary, cost: { seconds: clock.seconds, inflatedBytes } };
}

/**
 * A text-to-text pair as one row: the inputs' ids and an end-of-sequence, the targets' and another. Text gives no such id, so that a
 * run of rows can be cut into pairs again.
 */
function encodePair(encoder: Encoder, inputs: Uint8Array, targets: Uint8Array, eosId: number): Uint32Array {
  const first = Uint32Array.from(encoder.encode(inputs));
  const second = encoder.encode(targets);
  const row = new Uint32Array(first.length + second.length + 2);
  row.set(first);
  row[first.length] = eosId;
  row.set(second, first.length + 1);
  row[row.length - 1] = eosId;
  return row;
}

/** Changes whenever the file does. */
function stateOf(path: string): string {
  try {
    const { ino, size, ctimeMs } = statSync(path);
    return `${ino} ${size} ${ctimeMs}`;
  } catch {
    return "";
  }
}
