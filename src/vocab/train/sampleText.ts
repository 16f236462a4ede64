import { open } from "node:fs/promises";
import { MswitchError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import type { Progress } from "../../base/progress.js";
import type { DocumentChunk, Rejection } from "../../corpus/read/document.js";
import { readShard } from "../../corpus/read/readShard.js";
import { DownloadFault, HttpClient, type HttpOptions } from "../../corpus/remote/httpClient.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import {
  defaultCacheBytes,
  defaultCacheDirectory,
  openShardCache,
  type ShardCache,
} from "../../corpus/remote/shardCache.js";
import { expectedBytes } from "../../corpus/remote/shardSize.js";
import { type DiscoverOptions, discoverShards } from "../../corpus/shards/discoverShards.js";
import type { Shard } from "../../corpus/shards/shard.js";
import {
  chooseShards,
  countSentences,
  type LanguageCount,
  type ReadSample,
  sentenceQuotas,
  writeSentences,
} from "./sampleSentences.js";

const warningsPerShard = 5;
const warningsInAll = 100;

export interface SampleOptions
  extends Pick<DiscoverOptions, "languages" | "language" | "textField" | "validationEvery"> {
  sources: string[];
  /** Exponent of the languages' shares (mT5: 1/3.3). */
  alpha: number;
  maxSentences: number;
  /** Compressed bytes to read at most: of a larger corpus some shards of each language are chosen. */
  maxBytes: number;
  seed: number;
  /** Where downloaded shards lie. */
  cacheDir?: string;
  http?: Partial<HttpOptions>;
  progress?: (parts: { name: string; total: number }[]) => Progress;
  log: Log;
  signal: AbortSignal;
}

export interface Sample {
  counts: LanguageCount[];
  /** Sentences taken of each language. */
  quotas: Map<string, number>;
}

/** Finds the training shards of a sample, those of a large corpus within its bound. */
export async function sampleShards(
  options: SampleOptions,
): Promise<{ chosen: Shard[]; all: Shard[]; client: HttpClient }> {
  const { languages, language, textField, validationEvery, log, signal } = options;
  const client = new HttpClient(options.http, signal);
  const corpus = { languages, language, textField, validationEvery, splits: ["train"] as const };
  const all = await discoverShards(options.sources, { ...corpus, client, log });
  const chosen = chooseShards(all, options, expectedBytes);
  if (chosen.length < all.length) {
    log.info(`sampling from ${chosen.length} of ${all.length} training shards: more than --max-bytes are there`);
  }
  return { chosen, all, client };
}

/** Counts, then samples: two passes over the shards, so that no more than a few of their documents are ever in memory. */
export async function sampleText(
  path: string,
  { chosen, all, client }: Awaited<ReturnType<typeof sampleShards>>,
  options: SampleOptions,
): Promise<Sample> {
  const { alpha, maxSentences, seed, log } = options;
  const cache = chosen.some((shard) => isRemote(shard.path))
    ? await openShardCache(
        options.cacheDir ?? defaultCacheDirectory(),
        Math.max(options.maxBytes, defaultCacheBytes),
        client,
      )
    : undefined;
  const warn = createWarner(log);
  const counted = await withProgress("counting", chosen, cache, options, (read) => countSentences(chosen, read, warn));
  const bytesOf = (shards: Shard[], code: string): number =>
    shards.reduce((sum, shard) => sum + (shard.language === code ? expectedBytes(shard) : 0), 0);
  // Shares go by all of a language's documents, of which the chosen shards hold a part.
  const whole = counted.map((count) => {
    const { language } = count;
    const part = chosen.length === all.length ? 1 : bytesOf(chosen, language) / bytesOf(all, language);
    return { ...count, documents: count.documents / part };
  });
  const quotas = sentenceQuotas(whole, alpha, maxSentences);
  const file = await open(path, "wx");
  try {
    await withProgress("sampling", chosen, cache, options, (read) =>
      writeSentences(file, chosen, read, { counts: counted, quotas, seed }),
    );
  } finally {
    await file.close();
  }
  return { counts: counted, quotas };
}

async function withProgress<T>(
  what: string,
  shards: Shard[],
  cache: ShardCache | undefined,
  { progress, log, signal }: SampleOptions,
  work: (read: ReadSample) => Promise<T>,
): Promise<T> {
  const totals = new Map<string, number>();
  for (const shard of shards) totals.set(shard.language, (totals.get(shard.language) ?? 0) + expectedBytes(shard));
  log.info(`${what} sentences of ${shards.length} shards`);
  const bars = progress?.([...totals].map(([name, total]) => ({ name, total })));
  async function* read(shard: Shard): AsyncGenerator<DocumentChunk> {
    if (signal.aborted)
      throw new MswitchError(`interrupted while ${what} sentences`, { code: "interrupted", exitCode: 130 });
    try {
      const lease = cache && isRemote(shard.path) ? await cache.obtain(shard.path) : undefined;
      try {
        yield* readShard(lease ? { ...shard, copy: lease } : shard);
      } finally {
        await lease?.release();
      }
    } catch (error) {
      if (!(error instanceof DownloadFault)) throw error;
      yield { documents: [], rejections: [{ cause: "unreadable", line: 0, detail: error.message }] };
    }
    bars?.advance(shard.language, expectedBytes(shard), [expectedBytes(shard)]);
  }
  try {
    return await work(read);
  } finally {
    bars?.stop();
  }
}

/** Names what could not be read, file, line and cause, without flooding. */
function createWarner(log: Log): (shard: Shard, rejections: Rejection[]) => void {
  let left = warningsInAll;
  return ({ path }, rejections) => {
    const shown = rejections.slice(0, Math.min(warningsPerShard, left));
    left -= shown.length;
    for (const { line, cause, detail } of shown) log.warn(`${path} line ${line}: ${cause}: ${detail}`);
    const more = rejections.length - shown.length;
    if (more > 0 && shown.length > 0) log.warn(`${path}: ${more} more left out`);
  };
}
