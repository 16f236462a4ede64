import { Worker } from "node:worker_threads";
import { type ClonableError, fromClonable, messageOf } from "../../base/errors.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { EncoderImage } from "../../vocab/encode/layOutImage.js";
import type { ShardProgress, TokenizedShard, TokenizeOptions } from "./tokenizeShard.js";

/**
 * Megabytes of new objects before a worker collects. V8 takes six times as much, which a worker fills with views of buffers that are
 * long gone: collecting sooner costs no time that could be measured and saves some 30 MB a worker.
 */
const maxYoungGenerationSizeMb = 8;

/** What a worker is started with. */
export interface ShardWorkerData extends TokenizeOptions {
  /** The encoder of the vocabulary; absent where it is no unigram model. */
  image?: EncoderImage;
  /** Its one element is set to 1 when shards in work are to be dropped. */
  drop: Int32Array;
}

/** To a worker: tokenize this shard. One at a time. */
export type ShardRequest = Shard;

/** From a worker: any number of reports, then one outcome. */
export type ShardReply =
  | { kind: "progress"; progress: ShardProgress }
  | ({ kind: "done" } & TokenizedShard)
  | { kind: "dropped" }
  /** This shard failed; the others are not concerned. */
  | { kind: "failed"; why: string }
  /** The output cannot be written or the vocabulary not be used: no other shard would fare better. */
  | { kind: "refused"; error: ClonableError };

export type ShardOutcome =
  | Exclude<ShardReply, { kind: "progress" | "refused" }>
  /** As the reply of this name, its error for the user put together again. */
  | { kind: "refused"; error: unknown };

/** A flag that all workers of a run look at. */
export function dropFlag(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/**
 * A worker thread that tokenizes one shard at a time. One that dies takes down the shard it had in hand and no other: the next shard
 * gets a new one.
 */
export class ShardThread {
  private worker: Worker | undefined;
  /** What it works on, or worked on last: its encoder remembers the words of it. */
  language: string | undefined;
  busy = false;

  /** @param url the compiled worker module */
  constructor(
    private readonly url: URL,
    private readonly workerData: ShardWorkerData,
  ) {}

  /** Tokenizes a shard; never rejects. */
  async run(shard: Shard, onProgress: (progress: ShardProgress) => void): Promise<ShardOutcome> {
    this.language = shard.language;
    this.busy = true;
    const { workerData } = this;
    this.worker ??= new Worker(this.url, { workerData, resourceLimits: { maxYoungGenerationSizeMb } });
    const { worker } = this;
    const outcome = await new Promise<ShardOutcome>((resolve) => {
      const die = (why: string): void => {
        this.worker = undefined;
        resolve({ kind: "failed", why });
      };
      worker.on("message", (reply: ShardReply) => {
        if (reply.kind === "progress") onProgress(reply.progress);
        else resolve(reply.kind === "refused" ? { kind: "refused", error: fromClonable(reply.error) } : reply);
      });
      worker.on("error", (error) => die(`its worker crashed (${messageOf(error)})`));
      worker.on("exit", (code) => die(`its worker ended early (code ${code})`));
      worker.postMessage(shard satisfies ShardRequest);
    });
    for (const event of ["message", "error", "exit"]) worker.removeAllListeners(event);
    // Without a listener a late error would end the process.
    worker.on("error", () => {
      if (this.worker === worker) this.worker = undefined;
    });
    this.busy = false;
    return outcome;
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
  }
}
