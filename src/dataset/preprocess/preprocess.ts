import { join } from "node:path";
import { workerUrl } from "../../base/builtCode.js";
import { exitCode, MswitchError } from "../../base/errors.js";
import { datasetWriteError } from "../../base/fileSystemError.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { silentLog } from "../../base/log.js";
import type { Progress } from "../../base/progress.js";
import { defaultMaxLineBytes } from "../../corpus/read/readDocuments.js";
import { HttpClient, type HttpOptions } from "../../corpus/remote/httpClient.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import { defaultCacheBytes, defaultCacheDirectory, openShardCache } from "../../corpus/remote/shardCache.js";
import { discoverShards } from "../../corpus/shards/discoverShards.js";
import type { Shard, Split } from "../../corpus/shards/shard.js";
import { encoderImage } from "../../vocab/encode/encoderImage.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import { openModelFile } from "../../vocab/sentencepiece/openModelFile.js";
import { quarantineFile, writeManifest } from "../format/buildManifest.js";
import { isCurrent, listRecords, readRecord, recordedOptions, recordPath, type Wanted } from "../format/shardRecord.js";
import { prepareOutput } from "./prepareOutput.js";
import {
  addToTotals,
  emptyTotals,
  type PreprocessSummary,
  type SummaryTotals,
  summarize,
} from "./preprocessSummary.js";
import { weightsOf } from "./shardOrder.js";
import { ShardPool } from "./shardPool.js";
import { type TokenizeAllOptions, type TokenizeResult, tokenizeAll } from "./tokenizeAll.js";

/** Small files read at a time. */
const readsAtOnce = 16;

export interface PreprocessOptions extends TokenizeAllOptions {
  /** Directories, files, patterns or http(s) addresses of mC4 shards, as `discoverShards` takes them. */
  sources: string[];
  /** A SentencePiece `.model` file. */
  vocab: string;
  languages?: string[];
  splits?: Split[];
  /** Take only the share `index` (from 0) of `count` of the shards. */
  task?: { index: number; count: number };
  maxLineBytes?: number;
  /** Read every source and output again and compare hashes, instead of trusting size and time. */
  verify?: boolean;
  /** Where downloaded shards lie; default `defaultCacheDirectory()`. */
  cacheDir?: string;
  /** Bytes of them that are kept when they are no longer in use. */
  cacheBytes?: number;
  http?: Partial<HttpOptions>;
  /** Makes the bars: parts are languages, totals compressed bytes, amounts text bytes and tokens. */
  progress?: (parts: { name: string; total: number }[]) => Progress;
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
    await prepareOutput(out, vocabulary, listed);
    const wanted = { vocabulary: vocabulary.fingerprint, options: recordedOptions({ maxLineBytes }), verify, client };
    const totals = emptyTotals();
    const todo = await addDone(totals, out, mine, wanted, signal);
    const skipped = totals.total.shards;
    if (skipped > 0) log.info(`${skipped} of ${mine.length} shards are done already`);

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
      result = await tokenizeAll(todo, totals, pool, cache, options, progress);
    } finally {
      signal?.removeEventListener("abort", drop);
      progress?.stop();
      await pool.close();
    }
    if (signal?.aborted) {
      throw new MswitchError("interrupted", {
        code: "interrupted",
        where: out,
        why: `${totals.total.shards} of ${mine.length} shards are done`,
        hint: "the same command goes on from there",
        exitCode: exitCode.interrupted,
      });
    }
    const written = !task || (await allRecorded(out, listed));
    if (written) await writeManifest(out, vocabulary);
    const quarantine = written ? join(out, quarantineFile) : null;
    return summarize(totals, { out, skipped, ...result, quarantine, complete: written });
  } catch (error) {
    throw datasetWriteError(error, out);
  }
}

/** Adds the shards whose output stands to the totals; returns the others, in their order. */
async function addDone(
  totals: SummaryTotals,
  out: string,
  shards: Shard[],
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<Shard[]> {
  const recorded = new Set(await listRecords(out));
  const done = new Set<Shard>();
  await forEachConcurrently(shards, readsAtOnce, async (shard) => {
    const path = recordPath(out, shard);
    const record = recorded.has(path) && !signal?.aborted ? await readRecord(path) : undefined;
    if (!record || !(await isCurrent(out, shard, record, wanted))) return;
    done.add(shard);
    addToTotals(totals, record);
  });
  return shards.filter((shard) => !done.has(shard));
}

async function allRecorded(out: string, shards: Shard[]): Promise<boolean> {
  const recorded = new Set(await listRecords(out));
  return shards.every((shard) => recorded.has(recordPath(out, shard)));
}
