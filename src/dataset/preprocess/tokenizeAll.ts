import { datasetWriteError } from "../../base/files/fileSystemError.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { type Log, silentLog } from "../../base/log.js";
import type { Progress } from "../../base/progress.js";
import { noSeconds, stages } from "../../corpus/read/stageClock.js";
import { DownloadFault } from "../../corpus/remote/httpClient.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import type { Lease, ShardCache } from "../../corpus/remote/shardCache.js";
import { inflatedPerCompressedByte, type Shard } from "../../corpus/shards/shard.js";
import { sumOf } from "../format/buildManifest.js";
import type { ShardRecord } from "../format/manifest.js";
import type { RecordIndex } from "../format/recordIndex.js";
import { commitShard } from "../format/shardRecord.js";
import { addToTotals, type SummaryTotals } from "./preprocessSummary.js";
import { ReadyShards } from "./readyShards.js";
import { inOrder, weightOf } from "./shardOrder.js";
import type { ShardOutcome, ShardThread } from "./shardThread.js";
import type { ShardCost, ShardProgress } from "./tokenizeShard.js";

const warningsPerShard = 5;
const warningsInAll = 100;

export interface TokenizeAllOptions {
  /** The dataset's folder. */
  out: string;
  threads: ShardThread[];
  /** Makes the threads drop the shards in hand. */
  drop(): void;
  /** Where shards of servers are had from. */
  cache: ShardCache | undefined;
  /** Downloads at a time. */
  connections: number;
  /** Takes in what is done. */
  records: RecordIndex;
  totals: SummaryTotals;
  progress: Progress | undefined;
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
 * Tokenizes shards and adds them to records and totals. A downloader fetches the shards of servers, a bounded number ahead; each thread
 * takes from those that are here.
 *
 * @throws MswitchError where output or cache cannot be written
 */
export async function tokenizeAll(todo: Shard[], options: TokenizeAllOptions): Promise<TokenizeResult> {
  const { out, threads, cache, connections, records, totals, progress, signal } = options;
  const log = progress?.log ?? options.log ?? silentLog;
  const result: TokenizeResult = { failures: [], cost: { seconds: noSeconds(), inflatedBytes: 0 } };
  const warn = createWarner(log);
  const ordered = inOrder(todo);
  const ready = new ReadyShards(
    ordered.filter(({ path }) => !isRemote(path)),
    threads.length + connections,
  );
  const leases = new Map<string, Lease>();

  let refused: unknown;
  const stop = (error?: unknown): void => {
    refused ??= error;
    ready.stop();
    options.drop();
  };
  const onAbort = (): void => stop();
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();

  const leaveOut = (shard: Shard, why: string): void => {
    result.failures.push({ file: shard.path, why });
    log.warn(`${shard.path}: the shard was left out: ${why}`);
  };

  const download = async (shard: Shard, from: ShardCache): Promise<void> => {
    if (!(await ready.room())) return;
    try {
      const lease = await from.obtain(shard.path);
      const { file, bytes, sha256, version } = lease;
      leases.set(shard.path, lease);
      ready.add({ ...shard, copy: { file, bytes, sha256, version } });
    } catch (error) {
      ready.forgo();
      if (signal?.aborted) return;
      if (error instanceof DownloadFault) leaveOut(shard, error.message);
      else stop(error);
    }
  };

  const finish = async (shard: Shard, outcome: ShardOutcome): Promise<void> => {
    const lease = leases.get(shard.path);
    leases.delete(shard.path);
    await (outcome.kind === "failed" ? lease?.discard() : lease?.release());
    if (outcome.kind === "failed") leaveOut(shard, outcome.why);
    else if (outcome.kind === "refused") stop(outcome.error);
    if (outcome.kind !== "done") return;
    try {
      await commitShard(out, outcome.record, outcome.temporary);
      await records.add(outcome.record);
    } catch (error) {
      return stop(datasetWriteError(error, out));
    }
    addToTotals(totals, outcome.record);
    for (const stage of stages) result.cost.seconds[stage] += outcome.cost.seconds[stage];
    result.cost.inflatedBytes += outcome.cost.inflatedBytes;
    warn(outcome.record);
  };

  const consume = async (thread: ShardThread): Promise<void> => {
    // A thread may be a shard ahead of what the disk has confirmed.
    let finishing: Promise<void> = Promise.resolve();
    for (;;) {
      const shard = await ready.take(() => [thread.language, busyLanguages(threads)]);
      if (!shard) break;
      const bar = advancer(shard, progress);
      const outcome = await thread.run(shard, bar.advance);
      bar.finish();
      await finishing;
      finishing = finish(shard, outcome);
    }
    await finishing;
  };

  const downloadAll = async (): Promise<void> => {
    const remote = ordered.filter(({ path }) => isRemote(path));
    if (cache) await forEachConcurrently(remote, connections, (shard) => download(shard, cache));
    ready.end();
  };
  try {
    await Promise.all([downloadAll(), ...threads.map(consume)]);
  } finally {
    signal?.removeEventListener("abort", onAbort);
    for (const lease of leases.values()) await lease.release();
  }
  if (refused !== undefined) throw refused;
  return result;
}

function busyLanguages(threads: ShardThread[]): string[] {
  return threads.flatMap(({ busy, language }) => (busy && language !== undefined ? [language] : []));
}

/** Moves the bars as a shard is tokenized: its compressed bytes are told from the text until it is done. */
function advancer(shard: Shard, progress: Progress | undefined) {
  const { language } = shard;
  let left = weightOf(shard);
  const advance = ({ tokens, textBytes }: ShardProgress): void => {
    const step = Math.min(textBytes / inflatedPerCompressedByte, left);
    left -= step;
    progress?.advance(language, step, [textBytes, tokens]);
  };
  return { advance, finish: () => progress?.advance(language, left, [0, 0]) };
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
