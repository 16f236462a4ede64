import { availableParallelism } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { exitCode, MswitchError } from "../base/errors.js";
import { type Log, silentLog } from "../base/log.js";
import type { Progress } from "../base/progress.js";
import { workerUrl } from "../base/workerUrl.js";
import { discoverShards } from "../corpus/discoverShards.js";
import { DownloadFault, HttpClient, type HttpOptions } from "../corpus/http/httpClient.js";
import { isRemote } from "../corpus/http/remoteFile.js";
import {
  defaultCacheBytes,
  defaultCacheDirectory,
  type Lease,
  openShardCache,
  type ShardCache,
} from "../corpus/http/shardCache.js";
import { defaultMaxLineBytes } from "../corpus/readDocuments.js";
import type { Shard, Split } from "../corpus/shard.js";
import { noSeconds, stages } from "../corpus/stageClock.js";
import { encoderImage } from "../vocab/encoderImage.js";
import { loadVocabulary } from "../vocab/loadVocabulary.js";
import { openModelFile } from "../vocab/openModelFile.js";
import { quarantineFile, sumOf, writeManifest } from "./buildManifest.js";
import type { ShardRecord } from "./manifest.js";
import { outputError } from "./outputError.js";
import { prepareOutput } from "./prepareOutput.js";
import { type PreprocessSummary, summarize } from "./preprocessSummary.js";
import { inOrder, ShardQueue, weightOf, weightsOf } from "./shardOrder.js";
import { type ShardOutcome, ShardPool } from "./shardPool.js";
import {
  commitShard,
  isCurrent,
  type KnownShard,
  listRecords,
  recordedOptions,
  recordPath,
  tokenFileName,
  type Wanted,
} from "./shardRecord.js";
import type { ShardCost } from "./tokenizeShard.js";

/** Downloads at a time: enough to fill most lines, few enough for a public server. */
export const defaultConnections = 8;

/** Text grows about this much when it is inflated: only the bars between two shards rest on it. */
const gzipRatio = 3;

const warningsPerShard = 5;
const warningsInAll = 100;

export interface PreprocessOptions {
  /** Directories, files, patterns or http(s) addresses of mC4 shards, as `discoverShards` takes them. */
  sources: string[];
  /** A SentencePiece `.model` file. */
  vocab: string;
  /** The dataset's folder. */
  out: string;
  languages?: string[];
  splits?: Split[];
  /** Worker threads; default one a core. */
  workers?: number;
  /** Take only the share `index` (from 0) of `count` of the shards. */
  task?: { index: number; count: number };
  maxLineBytes?: number;
  /** Read every source and output again and compare hashes, instead of trusting size and time. */
  verify?: boolean;
  /** Where downloaded shards lie; default `defaultCacheDirectory()`. */
  cacheDir?: string;
  /** Bytes of them that are kept when they are no longer in use. */
  cacheBytes?: number;
  /** Downloads at a time. */
  connections?: number;
  http?: Partial<HttpOptions>;
  log?: Log;
  /** Makes the bars: parts are languages, totals compressed bytes, amounts text bytes and tokens. */
  progress?: (parts: { name: string; total: number }[]) => Progress;
  signal?: AbortSignal;
}

/**
 * Tokenizes an mC4-shaped corpus into a dataset folder, or finishes or mends what an earlier run left there: only shards that are
 * missing, changed or damaged are worked on. Files depend on the sources, the vocabulary and the options alone, never on the
 * number of workers or processes or on what was interrupted.
 *
 * Bad lines and damaged shards are quarantined and counted; a shard that cannot be read or downloaded or whose worker dies is left
 * out and named in `failures`.
 *
 * @throws usageError before any work for a bad source, vocabulary, selection or output folder; MswitchError where the output
 *   cannot be written, or (exit code 130) when `signal` was aborted: the same call then goes on where it stopped
 */
export async function preprocess(options: PreprocessOptions): Promise<PreprocessSummary> {
  const { sources, out, languages, splits, task, signal, verify = false, log = silentLog } = options;
  const maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes;
  const model = openModelFile(options.vocab);
  const vocabulary = await loadVocabulary(model);
  const client = new HttpClient(options.http, signal);
  const listed = await discoverShards(sources, { languages, splits, client });
  const mine = task ? listed.filter((_, i) => i % task.count === task.index) : listed;

  try {
    const known = await prepareOutput(out, vocabulary, listed);
    const wanted = { vocabulary: vocabulary.fingerprint, options: recordedOptions({ maxLineBytes }), verify, client };
    const { done, todo } = await divide(out, mine, known, wanted, signal);
    if (done.length > 0) log.info(`${done.length} of ${mine.length} shards are done already`);

    const cache = todo.some(({ path }) => isRemote(path))
      ? await openShardCache(
          options.cacheDir ?? defaultCacheDirectory(),
          options.cacheBytes ?? defaultCacheBytes,
          client,
        )
      : undefined;
    const image = todo.length > 0 ? await encoderImage(model) : undefined;
    const pool = new ShardPool(workerUrl("./shardWorker", import.meta.url), { out, vocabulary, maxLineBytes, image });
    const progress =
      todo.length > 0 ? options.progress?.([...weightsOf(todo)].map(([name, total]) => ({ name, total }))) : undefined;
    const drop = (): void => pool.dropAll();
    signal?.addEventListener("abort", drop);
    let result: TokenizeResult;
    try {
      result = await tokenizeAll(todo, pool, cache, options, progress);
    } finally {
      signal?.removeEventListener("abort", drop);
      progress?.stop();
      await pool.close();
    }
    if (signal?.aborted) {
      throw new MswitchError("interrupted", {
        where: out,
        why: `${done.length + result.records.length} of ${mine.length} shards are done`,
        hint: "the same command goes on from there",
        exitCode: exitCode.interrupted,
      });
    }
    const written = !task || (await allRecorded(out, listed));
    if (written) await writeManifest(out, vocabulary);
    const { records, failures, cost } = result;
    const quarantine = written ? join(out, quarantineFile) : null;
    return summarize({
      out,
      records: [...done, ...records],
      skipped: done.length,
      failures,
      cost,
      quarantine,
      complete: written,
    });
  } catch (error) {
    throw outputError(out, error) ?? error;
  }
}

interface TokenizeResult {
  records: KnownShard[];
  failures: { file: string; why: string }[];
  /** Of all shards of `records`. */
  cost: ShardCost;
}

async function tokenizeAll(
  todo: Shard[],
  pool: ShardPool,
  cache: ShardCache | undefined,
  {
    out,
    connections = defaultConnections,
    signal,
    workers = availableParallelism(),
    log: plainLog = silentLog,
  }: PreprocessOptions,
  progress: Progress | undefined,
): Promise<TokenizeResult> {
  const log = progress?.log ?? plainLog;
  const tokenizing = pLimit(workers);
  const downloading = pLimit(connections);
  // Each worker may be a shard ahead of what the disk has confirmed, and downloads ahead of the workers, but not so far that the disk
  // fills.
  const inHand = pLimit(2 * workers + (cache ? connections : 0));
  const result: TokenizeResult = { records: [], failures: [], cost: { seconds: noSeconds(), inflatedBytes: 0 } };
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
        const unwritable = outputError(out, error);
        if (unwritable === undefined) throw error;
        return refuse(unwritable);
      }
      const { rejections: _, ...record } = outcome.record;
      result.records.push(record);
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
    await Promise.all(ordered.map((shard) => inHand(work, shard)));
  } finally {
    for (const lease of leases.values()) await lease.release();
  }
  if (refused) throw refused;
  return result;
}

/** Tells shards whose output stands from those to be worked on. */
async function divide(
  out: string,
  shards: Shard[],
  known: Map<string, KnownShard>,
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<{ done: KnownShard[]; todo: Shard[] }> {
  const limit = pLimit(16);
  const current = await limit.map(shards, async (shard) => {
    const record = known.get(tokenFileName(shard));
    return record && !signal?.aborted && (await isCurrent(out, shard, record, wanted)) ? record : undefined;
  });
  return {
    done: current.filter((record) => record !== undefined),
    todo: shards.filter((_, i) => current[i] === undefined),
  };
}

async function allRecorded(out: string, shards: Shard[]): Promise<boolean> {
  const recorded = new Set(await listRecords(out));
  return shards.every((shard) => recorded.has(recordPath(out, shard)));
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
