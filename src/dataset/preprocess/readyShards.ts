import type { Shard } from "../../corpus/shards/shard.js";
import { ShardQueue } from "./shardOrder.js";

/**
 * The shards that are on this machine and wait for a worker: what a downloader puts in and workers take out. Both wait for each other,
 * the downloader when `maxAhead` of its shards are here or on their way and not yet taken.
 */
export class ReadyShards {
  private readonly queue: ShardQueue;
  private ahead = 0;
  private state: "filling" | "ended" | "stopped" = "filling";
  private readonly waiting = new Set<() => void>();

  constructor(
    here: Iterable<Shard>,
    private readonly maxAhead: number,
  ) {
    this.queue = new ShardQueue(here);
  }

  /** Waits until one more shard may be downloaded, which `add` or `forgo` must follow; false where no more is wanted. */
  async room(): Promise<boolean> {
    while (this.ahead >= this.maxAhead && this.state === "filling") await this.change();
    if (this.state !== "filling") return false;
    this.ahead++;
    return true;
  }

  /** Puts in a shard that was downloaded. */
  add(shard: Shard): void {
    this.queue.add(shard);
    this.wake();
  }

  /** Gives up a download for which there was room. */
  forgo(): void {
    this.ahead--;
    this.wake();
  }

  /** Says that no more is downloaded. */
  end(): void {
    if (this.state === "filling") this.state = "ended";
    this.wake();
  }

  /** Gives out nothing any more. */
  stop(): void {
    this.state = "stopped";
    this.wake();
  }

  /**
   * The next shard for a worker; undefined where none is left.
   *
   * @param languages the worker's own and those of the others at work, asked when there is a shard
   */
  async take(languages: () => [own: string | undefined, others: string[]]): Promise<Shard | undefined> {
    while (this.queue.size === 0 && this.state === "filling") await this.change();
    if (this.state === "stopped") return undefined;
    const shard = this.queue.take(...languages());
    if (shard?.copy) this.forgo();
    return shard;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.waiting.add(resolve));
  }

  private wake(): void {
    const woken = [...this.waiting];
    this.waiting.clear();
    for (const resolve of woken) resolve();
  }
}
