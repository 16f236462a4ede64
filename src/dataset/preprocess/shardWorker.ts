import { parentPort, workerData } from "node:worker_threads";
import { MswitchError, messageOf, toClonable } from "../../base/errors.js";
import { datasetWriteError } from "../../base/files/fileSystemError.js";
import type { Encoder } from "../../vocab/encode/encoder.js";
import { createLibraryEncoder } from "../../vocab/encode/libraryEncoder.js";
import { UnigramEncoder } from "../../vocab/encode/unigramEncoder.js";
import { openModelFile } from "../../vocab/sentencepiece/openModelFile.js";
import { batchBuffers } from "../format/arrowWriter.js";
import { tokenTypeFor } from "../format/tokenType.js";
import type { ShardReply, ShardRequest, ShardWorkerData } from "./shardThread.js";
import { Dropped, type ShardProgress, tokenizeShard } from "./tokenizeShard.js";

if (!parentPort) throw new Error("shardWorker runs as a worker thread only");
const port = parentPort;
const options = workerData as ShardWorkerData;
/** A report costs the main thread a wake-up. */
const reportMs = 100;

const buffers = batchBuffers(tokenTypeFor(options.vocabulary.embeddingRows));
const encoder = openEncoder();
// Each shard answers with it; until the first one it must not count as unhandled.
encoder.catch(() => undefined);

async function openEncoder(): Promise<Encoder> {
  if (options.image) return new UnigramEncoder(options.image);
  const { path, fingerprint } = options.vocabulary;
  if (openModelFile(path).fingerprint === fingerprint) return createLibraryEncoder(path);
  throw new MswitchError("the vocabulary was changed while it was in use", { code: "vocabulary-changed", where: path });
}

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
    const dropped = () => Atomics.load(options.drop, 0) === 1;
    const done = await tokenizeShard(shard, await encoder, buffers, options, dropped, onProgress);
    reply({ kind: "progress", progress: unreported });
    return { kind: "done", ...done };
  } catch (error) {
    if (error instanceof Dropped) return { kind: "dropped" };
    // The reader tells of its own faults by rejections: what the file system refuses here is the output.
    const refused = datasetWriteError(error, options.out);
    if (!(refused instanceof MswitchError)) return { kind: "failed", why: messageOf(error) };
    return { kind: "refused", error: toClonable(refused) };
  }
}

port.on("message", async (shard: ShardRequest) => reply(await tokenize(shard)));
