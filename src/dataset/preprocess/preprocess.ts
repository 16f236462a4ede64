import { availableParallelism } from "node:os";
import { join } from "node:path";
import { workerUrl } from "../../base/builtCode.js";
import { exitCode, MswitchError } from "../../base/errors.js";
import { datasetWriteError } from "../../base/files/fileSystemError.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { plural } from "../../base/format.js";
import { type Log, silentLog } from "../../base/log.js";
import type { Progress } from "../../base/progress.js";
import { defaultMaxLineBytes } from "../../corpus/read/readDocuments.js";
import { HttpClient, type HttpOptions } from "../../corpus/remote/httpClient.js";
import { refuseLargeDownload } from "../../corpus/remote/refuseLargeDownload.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import {
  defaultCacheBytes,
  defaultCacheDirectory,
  defaultConnections,
  openShardCache,
} from "../../corpus/remote/shardCache.js";
import { discoverPairs } from "../../corpus/shards/discoverPairs.js";
import { discoverShards } from "../../corpus/shards/discoverShards.js";
import type { PairFields, Shard, Split } from "../../corpus/shards/shard.js";
import { encoderImage } from "../../vocab/encode/encoderImage.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import { openModelFile } from "../../vocab/sentencepiece/openModelFile.js";
import { quarantineFile, writeManifest } from "../format/buildManifest.js";
import { RecordIndex } from "../format/recordIndex.js";
import { recordFile, tokenFileName } from "../format/shardRecord.js";
import { isCurrent, type Wanted } from "./isCurrent.js";
import { checkOutput, prepareOutput } from "./prepareOutput.js";
import {
  addToTotals,
  emptyTotals,
  type PreprocessSummary,
  type SummaryTotals,
  summarize,
} from "./preprocessSummary.js";
import { shardsOfTask, type Task, weightsOf } from "./shardOrder.js";
import { dropFlag, ShardThread } from "./shardThread.js";
import { type TokenizeResult, tokenizeAll } from "./tokenizeAll.js";

/** Finished shards that are held against their files at a time. */
const checksAtOnce = 16;

export interface PreprocessOptions {
  /** The dataset's folder. */
  out: string;
  /** Directories, files, patterns or http(s) addresses of mC4 shards, as `discoverShards` takes them. */
  sources: string[];
  /** A SentencePiece `.model` file. */
  vocab: string;
  languages?: string[];
  splits?: Split[];
  /** The sources are files of any name in this language; `discoverShards` says how they are taken. */
  language?: string;
  /** Field or column of the text, where it is not `text`. */
  textField?: string;
  validationEvery?: number;
  /** The sources are folders of text-to-text pairs, as `discoverPairs` takes them, in these fields. */
  pairs?: PairFields;
  /** Of pairs: the tasks to take; all where left out. */
  tasks?: string[];
  /** May download more than 100 GB. */
  yes?: boolean;
  /** Work on the share of one of several tasks only. */
  task?: Task;
  /** Worker threads; default one a core. */
  workers?: number;
  /** Downloads at a time; default `defaultConnections`. */
  connections?: number;
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
  log?: Log;
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
  const { language, textField, validationEvery } = options;
  const corpus = { languages, splits, language, textField, validationEvery };
  const listed = options.pairs
    ? await discoverPairs(sources, { ...corpus, tasks: options.tasks, fields: options.pairs, log })
    : await discoverShards(sources, { ...corpus, client, log });
  const mine = task ? shardsOfTask(listed, task) : listed;

  try {
    const records = await RecordIndex.open(out);
    await checkOutput(out, vocabulary, listed, records);
    warnOfRemoved(listed, records, log);
    const wanted = { vocabulary: vocabulary.fingerprint, maxLineBytes, verify, client };
    const totals = emptyTotals();
    const todo = await addDone(totals, out, mine, records, wanted, signal);
    const skipped = totals.total.shards;
    if (skipped > 0) log.info(`${skipped} of ${mine.length} shards are done already`);
    warnOfReplaced(todo, records, log);

    if (!options.yes) refuseLargeDownload(todo);
    await prepareOutput(out, vocabulary);
    const cache = todo.some(({ path }) => isRemote(path))
      ? await openShardCache(
          options.cacheDir ?? defaultCacheDirectory(),
          options.cacheBytes ?? defaultCacheBytes,
          client,
        )
      : undefined;
    const drop = dropFlag();
    const image = todo.length > 0 ? await encoderImage(model) : undefined;
    const workerData = { out, vocabulary, maxLineBytes, image, drop };
    const threads = Array.from(
      { length: Math.min(options.workers ?? availableParallelism(), todo.length) },
      () => new ShardThread(workerUrl("./shardWorker", import.meta.url), workerData),
    );
    const progress =
      todo.length > 0 ? options.progress?.([...weightsOf(todo)].map(([name, total]) => ({ name, total }))) : undefined;
    let result: TokenizeResult;
    try {
      const connections = options.connections ?? defaultConnections;
      const dropAll = (): void => void Atomics.store(drop, 0, 1);
      const way = { out, threads, drop: dropAll, cache, connections, records, totals, progress, log, signal };
      result = await tokenizeAll(todo, way);
    } finally {
      progress?.stop();
      await Promise.all(threads.map((thread) => thread.close()));
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
    if (task) await records.refresh();
    const written = listed.every((shard) => records.get(shard)) || !task;
    if (written) await writeManifest(out, vocabulary, records);
    warnOfUnreadable(records, log);
    const quarantine = written ? join(out, quarantineFile) : null;
    if (totals.total.shards > 0 && totals.total.documents === 0) log.warn(`${out}: no document came out of the source`);
    return summarize(totals, { out, skipped, ...result, quarantine, complete: written });
  } catch (error) {
    throw datasetWriteError(error, out);
  }
}

/** Names finished shards of the languages and splits in work that the source no longer has: they stay part of the dataset. */
function warnOfRemoved(listed: Shard[], records: RecordIndex, log: Log): void {
  const here = new Set(listed.map((shard) => tokenFileName(shard)));
  const splits = new Set(listed.map(({ language, split }) => `${language} ${split}`));
  const removed: string[] = [];
  for (const [, { language, split, output }] of records.inOrder()) {
    if (splits.has(`${language} ${split}`) && !here.has(output.file)) removed.push(output.file);
  }
  if (removed.length === 0) return;
  const some = `${removed.slice(0, 3).join(", ")}${removed.length > 3 ? ", …" : ""}`;
  log.warn(
    `${removed.length} finished shards are not in the source any more and stay part of the dataset: ${some}; to take one out, delete it and ${recordFile(removed[0])}`,
  );
}

/** Names shards outside of this run that are not in `dataset.json` because their records are damaged. */
function warnOfUnreadable(records: RecordIndex, log: Log): void {
  const paths = records.unreadable();
  if (paths.length === 0) return;
  const some = `${paths.slice(0, 3).join(", ")}${paths.length > 3 ? ", …" : ""}`;
  log.warn(
    `${plural(paths.length, "record")} cannot be read, and so as many shards are not in the dataset until a run on their sources redoes them: ${some}`,
  );
}

/** Names finished shards that are to be made of a file of another name: what they hold now leaves the dataset. */
function warnOfReplaced(todo: Shard[], records: RecordIndex, log: Log): void {
  const replaced = todo.flatMap((shard) => {
    const former = records.get(shard)?.source;
    return former && former.name !== shard.name ? [{ shard, former }] : [];
  });
  if (replaced.length === 0) return;
  const [{ shard, former }] = replaced;
  log.warn(
    `${plural(replaced.length, "finished shard")} made anew of other files: ${tokenFileName(shard)} was ${former.path} and becomes ${shard.path}; to have both, name all sources in one run into a new folder`,
  );
}

/** Adds the shards whose output stands to the totals; returns the others, in their order. */
async function addDone(
  totals: SummaryTotals,
  out: string,
  shards: Shard[],
  records: RecordIndex,
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<Shard[]> {
  const done = new Set<Shard>();
  await forEachConcurrently(shards, checksAtOnce, async (shard) => {
    const record = signal?.aborted ? undefined : records.get(shard);
    if (!record || !(await isCurrent(out, shard, record, wanted))) return;
    done.add(shard);
    addToTotals(totals, record);
  });
  return shards.filter((shard) => !done.has(shard));
}
