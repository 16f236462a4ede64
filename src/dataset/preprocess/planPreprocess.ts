import { availableParallelism } from "node:os";
import pLimit from "p-limit";
import type { Log } from "../../base/log.js";
import { DownloadFault, HttpClient, type HttpOptions } from "../../corpus/remote/httpClient.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import { defaultCacheBytes, defaultConnections } from "../../corpus/remote/shardCache.js";
import { publishedSize } from "../../corpus/remote/shardSize.js";
import { discoverShards } from "../../corpus/shards/discoverShards.js";
import { inflatedPerCompressedByte, type Shard, type Split } from "../../corpus/shards/shard.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import { tokenTypeFor } from "../format/tokenType.js";
import { shardsOfTask, simulateRun } from "./shardOrder.js";

/**
 * MB of JSON text a second that one worker takes from gzip to Arrow on a corpus of 101 languages with a vocabulary of 200,000
 * pieces, every core at work: 19 to 25 was measured. `npm run bench:preprocess` measures it here.
 */
export const defaultSpeed = 20;

/** mC4 has 27 TB of text in 6.3 trillion of mT5's tokens. */
const textBytesPerToken = 4.3;

/** What else a document takes in a token file: line, bytes and offset, for pages of about 4 kB. */
const rowOverhead = 0.003;

/** Shards of one language and split whose size a server is asked for; the others are taken for their mean. */
const askedPerGroup = 3;

export interface PlanOptions {
  sources: string[];
  vocab: string;
  languages?: string[];
  splits?: Split[];
  /** As `preprocess` takes them. */
  language?: string;
  textField?: string;
  validationEvery?: number;
  log?: Log;
  /** Machines, each with a task of its own. */
  nodes: number;
  /** Worker threads of each; default one a core of this machine. */
  workers?: number;
  /** MB of JSON text a second and worker. */
  speed?: number;
  connections?: number;
  cacheBytes?: number;
  http?: Partial<HttpOptions>;
  signal?: AbortSignal;
}

/** What one task of a planned run would do. Bytes are compressed ones. */
export interface PlannedTask {
  task: string;
  shards: number;
  bytes: number;
  seconds: number;
}

export interface PreprocessPlan {
  nodes: number;
  workers: number;
  /** MB of JSON text a second and worker. */
  speed: number;
  shards: number;
  /** Compressed bytes to read. */
  bytes: number;
  /** Those of them that come over the network. */
  remoteBytes: number;
  /** Shards whose size was known or asked for; the others are estimated from them. */
  measured: number;
  /** JSON text, tokens and bytes of token files, estimated. */
  textBytes: number;
  tokens: number;
  outputBytes: number;
  /** Disk that downloads take on each node at most. */
  cacheBytesPerNode: number;
  largestShard: number;
  /** Until the last task is done, when all run at once. */
  seconds: number;
  /** All workers' time together. */
  workerSeconds: number;
  /** MB/s that each node must read to keep its workers busy. */
  inputSpeedPerNode: number;
  tasks: PlannedTask[];
}

/**
 * What a run would take on a cluster, without reading or writing a shard. Local shards are measured; of remote ones a few of each
 * language and split are asked for their size. Time is that of tokenizing: where the network is slower, it decides.
 *
 * @throws usageError for a bad source, selection or vocabulary
 */
export async function planPreprocess(options: PlanOptions): Promise<PreprocessPlan> {
  const { sources, nodes, workers = availableParallelism(), speed = defaultSpeed } = options;
  const { connections = defaultConnections, cacheBytes = defaultCacheBytes } = options;
  const vocabulary = await loadVocabulary(options.vocab);
  const client = new HttpClient({ attempts: 3, ...options.http }, options.signal);
  const shards = await discoverShards(sources, { ...options, client });
  const { sizes, measured } = await sizesOf(shards, client, connections);

  const secondsOf = (bytes: number): number => (bytes * inflatedPerCompressedByte) / (speed * 1e6);
  const sized = shards.map((shard, i): Shard => ({ ...shard, bytes: sizes[i] }));
  const tasks = Array.from({ length: nodes }, (_, index): PlannedTask => {
    const mine = shardsOfTask(sized, { index, count: nodes });
    return {
      task: `${index}/${nodes}`,
      shards: mine.length,
      bytes: sum(mine.map(({ bytes }) => bytes)),
      seconds: simulateRun(mine, workers, ({ bytes }) => secondsOf(bytes)),
    };
  });
  const bytes = sum(sizes);
  const largestShard = sizes.reduce((most, size) => Math.max(most, size), 0);
  const remoteBytes = sum(sizes.filter((_, i) => isRemote(shards[i].path)));
  const textBytes = bytes * inflatedPerCompressedByte;
  const tokens = textBytes / textBytesPerToken;
  const tokenBytes = tokenTypeFor(vocabulary.embeddingRows) === "uint16" ? 2 : 4;
  // A node never holds more than its own share, nor less than what is in hand.
  const share = Math.max(...tasks.map((task) => task.bytes));
  const inHand = (workers + connections) * largestShard;
  return {
    nodes,
    workers,
    speed,
    shards: shards.length,
    bytes,
    remoteBytes,
    measured,
    textBytes,
    tokens,
    outputBytes: tokens * tokenBytes + textBytes * rowOverhead,
    cacheBytesPerNode: remoteBytes > 0 ? Math.min(share, Math.max(inHand, cacheBytes)) : 0,
    largestShard,
    seconds: Math.max(...tasks.map((task) => task.seconds)),
    workerSeconds: secondsOf(bytes),
    inputSpeedPerNode: (workers * speed) / inflatedPerCompressedByte,
    tasks,
  };
}

/** Compressed sizes of the shards, those that are not known estimated from others of their language and split. */
async function sizesOf(
  shards: Shard[],
  client: HttpClient,
  connections: number,
): Promise<{ sizes: number[]; measured: number }> {
  const sizes: (number | undefined)[] = shards.map(({ path, bytes }) =>
    isRemote(path) && bytes === 0 ? undefined : bytes,
  );
  const groups = new Map<string, number[]>();
  for (const [i, { language, split }] of shards.entries()) {
    const key = `${language} ${split}`;
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  }
  const asked: number[] = [];
  for (const group of groups.values()) {
    const unknown = group.filter((i) => sizes[i] === undefined);
    const step = (unknown.length - 1) / (askedPerGroup - 1);
    asked.push(
      ...new Set(Array.from({ length: askedPerGroup }, (_, n) => unknown[Math.round(n * step)]).filter(isKnown)),
    );
  }
  const limit = pLimit(connections);
  await limit.map(asked, async (i) => {
    sizes[i] = await client.head(shards[i].path).then(
      ({ bytes }) => bytes,
      (error: unknown) => {
        if (error instanceof DownloadFault) return undefined;
        throw error;
      },
    );
  });
  const measured = sizes.filter(isKnown).length;
  const overall = meanOf(sizes);
  for (const group of groups.values()) {
    const mean = meanOf(group.map((i) => sizes[i])) ?? publishedSize(shards[group[0]]) ?? overall ?? 0;
    for (const i of group) sizes[i] ??= mean;
  }
  return { sizes: sizes.filter(isKnown), measured };
}

function meanOf(sizes: (number | undefined)[]): number | undefined {
  const known = sizes.filter(isKnown);
  return known.length > 0 ? sum(known) / known.length : undefined;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function isKnown(value: number | undefined): value is number {
  return value !== undefined;
}
