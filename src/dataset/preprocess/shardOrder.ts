import { isRemote } from "../../corpus/remote/remoteFile.js";
import { typicalShardBytes } from "../../corpus/remote/shardSize.js";
import type { Shard } from "../../corpus/shards/shard.js";

/** Compressed bytes of a shard, as far as they are known. */
export function weightOf({ path, bytes }: Shard): number {
  return bytes === 0 && isRemote(path) ? typicalShardBytes : bytes;
}

/** Weight of all shards of each language. */
export function weightsOf(shards: Shard[]): Map<string, number> {
  const weights = new Map<string, number>();
  for (const shard of shards) weights.set(shard.language, (weights.get(shard.language) ?? 0) + weightOf(shard));
  return weights;
}

/** One of several tasks: `index`, from 0, of `count`. */
export interface Task {
  index: number;
  count: number;
}

/** A task's share: every `count`-th shard of the list. */
export function shardsOfTask(shards: Shard[], { index, count }: Task): Shard[] {
  return shards.filter((_, i) => i % count === index);
}

/** Language by language, the largest first, and so their shards. */
export function inOrder(shards: Shard[]): Shard[] {
  const weights = weightsOf(shards);
  const ofLanguage = ({ language }: Shard): number => weights.get(language)!;
  return shards.toSorted(
    (a, b) => ofLanguage(b) - ofLanguage(a) || a.language.localeCompare(b.language) || weightOf(b) - weightOf(a),
  );
}

/**
 * Shards that wait for a worker. A worker stays with its language while there is some of it, and one that has to begin another takes the
 * largest that no other works on: encoders remember words. The small shards at the end even out which worker ends last.
 */
export class ShardQueue {
  /** By language; the largest shard last. */
  private readonly waiting = new Map<string, Shard[]>();
  private readonly weights = new Map<string, number>();
  size = 0;

  constructor(shards: Iterable<Shard> = []) {
    for (const shard of shards) this.add(shard);
  }

  add(shard: Shard): void {
    const { language } = shard;
    const shards = this.waiting.get(language) ?? [];
    this.waiting.set(language, shards);
    const weight = weightOf(shard);
    const place = shards.findLastIndex((one) => weightOf(one) <= weight) + 1;
    shards.splice(place, 0, shard);
    this.weights.set(language, (this.weights.get(language) ?? 0) + weight);
    this.size++;
  }

  /**
   * The shard to work on next, which waits no longer; undefined where none waits.
   *
   * @param own language that the worker worked on last
   * @param others languages that the other workers work on
   */
  take(own: string | undefined, others: readonly string[]): Shard | undefined {
    const languages = [...this.waiting.keys()];
    const choices = [
      languages.filter((language) => language === own),
      languages.filter((language) => !others.includes(language)),
      languages,
    ];
    const choice = choices.find(({ length }) => length > 0);
    if (!choice) return undefined;
    const language = choice.reduce((a, b) => (this.weights.get(b)! > this.weights.get(a)! ? b : a));
    const shards = this.waiting.get(language)!;
    const shard = shards.pop()!;
    if (shards.length === 0) this.waiting.delete(language);
    this.weights.set(language, this.weights.get(language)! - weightOf(shard));
    this.size--;
    return shard;
  }
}

/**
 * When the last of these shards is done, in seconds, if each worker takes the next one from the queue as it does in a run and no download
 * keeps it waiting.
 */
export function simulateRun(shards: Shard[], workers: number, secondsOf: (shard: Shard) => number): number {
  const queue = new ShardQueue(inOrder(shards));
  const threads = Array.from({ length: workers }, () => ({ free: 0, language: undefined as string | undefined }));
  while (queue.size > 0) {
    const thread = threads.reduce((a, b) => (b.free < a.free ? b : a));
    // A worker that is free later than this one is at work.
    const others = threads.flatMap(({ free, language }) => (free > thread.free && language ? [language] : []));
    const shard = queue.take(thread.language, others)!;
    thread.language = shard.language;
    thread.free += secondsOf(shard);
  }
  return Math.max(...threads.map(({ free }) => free));
}
