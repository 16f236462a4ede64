import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../base/errors.js";
import { createEncoder } from "../vocab/createEncoder.js";
import type { ShardReply, ShardRequest, ShardWorkerData } from "./shardProtocol.js";
import { Dropped, ShardFault, type ShardProgress, tokenizeShard } from "./tokenizeShard.js";

if (!parentPort) throw new Error("shardWorker runs as a worker thread only");
const port = parentPort;
const options = workerData as ShardWorkerData;
/** A report costs the main thread a wake-up. */
const reportMs = 100;

const encoder = await createEncoder(options.vocabulary);

function reply(message: ShardReply): void {
  port.postMessage(message);
}

async function tokenize(shard: ShardRequest): Promise<ShardReply> {
  let unreported: ShardProgress = { tokens: 0, textBytes: 0 };
  let reported = 0;
  const onProgress = ({ tokens, textBytes }: ShardProgress): void => {
    unreported.tokens += tokens;
    unreported.textBytes += textBytes;
    if (Date.now() - reported < reportMs) return;
    reply({ kind: "progress", progress: unreported });
    unreported = { tokens: 0, textBytes: 0 };
    reported = Date.now();
  };
  try {
    const record = await tokenizeShard(shard, encoder, options, () => Atomics.load(options.drop, 0) === 1, onProgress);
    reply({ kind: "progress", progress: unreported });
    return { kind: "done", record };
  } catch (error) {
    if (error instanceof Dropped) return { kind: "dropped" };
    // The reader tells of its own faults by rejections: what the file system refuses here is the output.
    const code = error instanceof ShardFault ? undefined : (error as NodeJS.ErrnoException).code;
    if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return { kind: "output", why: messageOf(error), code };
    return { kind: "failed", why: messageOf(error) };
  }
}

port.on("message", async (shard: ShardRequest) => reply(await tokenize(shard)));
