import { Worker } from "node:worker_threads";
import { messageOf } from "../../base/errors.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { ShardReply, ShardRequest, ShardWorkerData } from "./shardProtocol.js";
import type { ShardProgress } from "./tokenizeShard.js";

/**
 * Megabytes of new objects before a worker collects. V8 takes six times as much, which a worker fills with views of buffers that are
 * long gone: collecting sooner costs no time that could be measured and saves some 30 MB a worker.
 */
const maxYoungGenerationSizeMb = 8;

export type ShardOutcome = Exclude<ShardReply, { kind: "progress" }>;

/**
 * Worker threads that tokenize one shard each at a time. A worker that dies takes down the shard it had in hand and no other: the
 * next shard gets a new worker.
 */
export class ShardPool {
  private readonly idle: Worker[] = [];
  private readonly all = new Set<Worker>();
  private readonly languages = new Map<Worker, string>();
  private readonly drop = new Int32Array(new SharedArrayBuffer(4));

  /** @param url the compiled worker module */
  constructor(
    private readonly url: URL,
    private readonly data: Omit<ShardWorkerData, "drop">,
  ) {}

  /** What the idle workers worked on last. */
  get idleLanguages(): string[] {
    return this.idle.map((worker) => this.languages.get(worker)!);
  }

  /** What the other workers work on. */
  get busyLanguages(): string[] {
    return [...this.all].filter((worker) => !this.idle.includes(worker)).map((worker) => this.languages.get(worker)!);
  }

  /** Tokenizes a shard in an idle worker, one that knows its language if there is one, or in a new one; never rejects. */
  run(shard: Shard, onProgress: (progress: ShardProgress) => void): Promise<ShardOutcome> {
    const knowing = this.idle.findIndex((one) => this.languages.get(one) === shard.language);
    const worker = this.idle.splice(knowing, 1)[0] ?? this.start();
    this.languages.set(worker, shard.language);
    return new Promise((resolve) => {
      const end = (outcome: ShardOutcome, alive: boolean): void => {
        worker.removeAllListeners();
        // Without a listener a late error would end the process.
        worker.on("error", () => this.all.delete(worker));
        if (alive) this.idle.push(worker);
        else this.all.delete(worker);
        resolve(outcome);
      };
      worker.removeAllListeners();
      worker.on("message", (reply: ShardReply) => {
        if (reply.kind === "progress") onProgress(reply.progress);
        else end(reply, true);
      });
      worker.on("error", (error) => end({ kind: "failed", why: `its worker crashed (${messageOf(error)})` }, false));
      worker.on("exit", (code) => end({ kind: "failed", why: `its worker ended early (code ${code})` }, false));
      worker.postMessage(shard satisfies ShardRequest);
    });
  }

  /** Lets the shards in hand be dropped at their next piece. */
  dropAll(): void {
    Atomics.store(this.drop, 0, 1);
  }

  async close(): Promise<void> {
    await Promise.all([...this.all].map((worker) => worker.terminate()));
  }

  private start(): Worker {
    const workerData = { ...this.data, drop: this.drop } satisfies ShardWorkerData;
    const worker = new Worker(this.url, { workerData, resourceLimits: { maxYoungGenerationSizeMb } });
    this.all.add(worker);
    return worker;
  }
}
