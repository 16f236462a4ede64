import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import { MswitchError } from "../../base/errors.js";
import { datasetWriteError } from "../../base/fileSystemError.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { type Log, silentLog } from "../../base/log.js";
import type { Progress } from "../../base/progress.js";
import { noSeconds, stages } from "../../corpus/read/stageClock.js";
import { DownloadFault } from "../../corpus/remote/httpClient.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import { defaultConnections, type Lease, type ShardCache } from "../../corpus/remote/shardCache.js";
import type { Shard } from "../../corpus/shards/shard.js";
import { sumOf } from "../format/buildManifest.js";
import type { ShardRecord } from "../format/manifest.js";
import { commitShard } from "../format/shardRecord.js";
import { addToTotals, type SummaryTotals } from "./preprocessSummary.js";
import { inOrder, ShardQueue, weightOf } from "./shardOrder.js";
import type { ShardOutcome, ShardPool } from "./shardPool.js";
import type { ShardCost } from "./tokenizeShard.js";

/** Text grows about this much when it is inflated: only the bars between two shards rest on it. */
const gzipRatio = 3;

const warningsPerShard = 5;
const warningsInAll = 100;

export interface TokenizeAllOptions {
  /** The dataset's folder. */
  out: string;
  /** Worker threads; default one a core. */
  workers?: number;
  /** Downloads at a time. */
  connections?: number;
  log?: Log;
  signal?: AbortSignal;
}

/** What came of a run's shards, beside its totals. */
export interface TokenizeResult {
  failures: { file: string; why: string }[];
  /** Of all shards that were tokenized. */
  cost: ShardCost;
}

/**
 * Tokenizes shards, several at a time, and adds them to the totals. Of a shard nothing is kept beyond them: mC4 has 59,410.
 *
 * @throws MswitchError where the output cannot be written
 */
export async function tokenizeAll(
  todo: Shard[],
  totals: SummaryTotals,
  pool: ShardPool,
  cache: ShardCache | undefined,
  options: TokenizeAllOptions,
  progress: Progress | undefined,
): Promise<TokenizeResult> {
  const { out, workers = availableParallelism(), connections = defaultConnections, signal } = options;
  const log = progress?.log ?? options.log ?? silentLog;
  const tokenizing = pLimit(workers);
  const downloading = pLimit(connections);
  // Each worker may be a shard ahead of what the disk has confirmed, and downloads ahead of the workers, but not so far that the disk
  // fills.
  const inHand = 2 * workers + (cache ? connections : 0);
  const result: TokenizeResult = { failures: [], cost: { seconds: noSeconds(), inflatedBytes: 0 } };
  const warn = createWarner(log);
  let refused: MswitchError | undefined;
  const refuse = (error: MswitchError): void => {
    refused ??= error;
    pool.dropAll();
  };
  const finish = async (shard: Shard, outcome: ShardOutcome): Promise<void> => {
    if (outcome.kind === "done") {
      try {
        await commitShard(out, outcome.record, outcome.temporary);
      } catch (error) {
        const unwritable = datasetWriteError(error, out);
        if (!(unwritable instanceof MswitchError)) throw error;
        return refuse(unwritable);
      }
      addToTotals(totals, outcome.record);
      for (const stage of stages) result.cost.seconds[stage] += outcome.cost.seconds[stage];
      result.cost.inflatedBytes += outcome.cost.inflatedBytes;
      warn(outcome.record);
    } else if (outcome.kind === "failed") {
      result.failures.push({ file: shard.path, why: outcome.why });
      log.warn(`${shard.path}: the shard was left out: ${outcome.why}`);
    } else if (outcome.kind === "refused") {
      refuse(new MswitchError(outcome.what, outcome.details));
    }
  };
  const queue = new ShardQueue();
  const tokenizeNext = async (): Promise<{ shard: Shard; outcome: ShardOutcome } | undefined> => {
    const shard = signal?.aborted || refused ? undefined : queue.take(pool.idleLanguages, pool.busyLanguages);
    if (!shard) return undefined;
    const weight = weightOf(shard);
    let advanced = 0;
    const outcome = await pool.run(shard, ({ tokens, textBytes }) => {
      const step = Math.min(textBytes / gzipRatio, weight - advanced);
      advanced += step;
      progress?.advance(shard.language, step, [textBytes, tokens]);
    });
    progress?.advance(shard.language, weight - advanced, [0, 0]);
    return { shard, outcome };
  };
  const download = async (shard: Shard, from: ShardCache): Promise<Lease | undefined> => {
    if (signal?.aborted || refused) return undefined;
    try {
      return await from.obtain(shard.path);
    } catch (error) {
      if (signal?.aborted) return undefined;
      if (error instanceof DownloadFault) await finish(shard, { kind: "failed", why: error.message });
      else if (error instanceof MswitchError) refused ??= error;
      else throw error;
      return undefined;
    }
  };
  const leases = new Map<string, Lease>();
  const needsDownload = (shard: Shard): boolean => cache !== undefined && isRemote(shard.path);
  // Does for some shard what is to be done with each: which one is decided when a worker is free.
  const work = async (shard: Shard): Promise<void> => {
    if (cache && needsDownload(shard)) {
      const lease = await downloading(download, shard, cache);
      if (!lease) return;
      leases.set(shard.path, lease);
      const { file, bytes, sha256, version } = lease;
      queue.add({ ...shard, copy: { file, bytes, sha256, version } });
    }
    const done = await tokenizing(tokenizeNext);
    if (!done) return;
    const lease = leases.get(done.shard.path);
    leases.delete(done.shard.path);
    await (done.outcome.kind === "failed" ? lease?.discard() : lease?.release());
    await finish(done.shard, done.outcome);
  };
  const ordered = inOrder(todo);
  for (const shard of ordered) if (!needsDownload(shard)) queue.add(shard);
  try {
    await forEachConcurrently(ordered, inHand, work);
  } finally {
    for (const lease of leases.values()) await lease.release();
  }
  if (refused) throw refused;
  return result;
}

/** Names what was set aside, file and line, without flooding: all of it stands in the quarantine file. */
function createWarner(log: Log): (record: ShardRecord) => void {
  let left = warningsInAll;
  return ({ source, rejected, rejections }) => {
    const shown = rejections.slice(0, Math.min(warningsPerShard, left));
    left -= shown.length;
    for (const { line, cause, detail } of shown) log.warn(`${source.path} line ${line}: ${cause}: ${detail}`);
    const more = sumOf(rejected) - shown.length;
    if (more > 0 && shown.length > 0) log.warn(`${source.path}: ${more} more set aside`);
  };
}
