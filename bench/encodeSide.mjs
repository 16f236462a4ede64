// Our encoder, or sentencepiece-js, over a file of records (32-bit length, bytes) on so many threads, as a process of its own, so
// that nothing is remembered from another round. Prints the CPU and wall seconds of the encoding alone, and the tokens.
//   node bench/encodeSide.mjs mswitch|sentencepiece-js MODEL RECORDS THREADS
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createEncoder } from "../dist/vocab/createEncoder.js";
import { createLibraryEncoder } from "../dist/vocab/libraryEncoder.js";

/** Threads take blocks of documents in turn: languages stay together, as they do in a shard. */
const blockDocuments = 500;

async function load({ side, model, path, threads, thread }) {
  const encoder = await (side === "mswitch" ? createEncoder(model) : createLibraryEncoder(model));
  const bytes = readFileSync(path);
  const texts = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = bytes.readUInt32LE(at);
    at += 4;
    if (Math.floor(i / blockDocuments) % threads === thread) texts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return () => texts.reduce((tokens, text) => tokens + encoder.encode(text).length, 0);
}

if (isMainThread) {
  const [side, model, path, count] = process.argv.slice(2);
  const threads = Number(count);
  const options = { side, model, path, threads };
  let start;
  if (threads === 1) start = await load({ ...options, thread: 0 });
  else {
    const workers = Array.from(
      { length: threads },
      (_, thread) => new Worker(fileURLToPath(import.meta.url), { workerData: { ...options, thread } }),
    );
    await Promise.all(workers.map((worker) => once(worker, "message")));
    start = async () => {
      for (const worker of workers) worker.postMessage("start");
      const counts = await Promise.all(workers.map((worker) => once(worker, "message")));
      return counts.reduce((sum, [tokens]) => sum + tokens, 0);
    };
  }
  const cpu = process.cpuUsage();
  const wall = performance.now();
  const tokens = await start();
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ cpu: (user + system) / 1e6, wall: (performance.now() - wall) / 1e3, tokens }));
  process.exit();
} else {
  const start = await load(workerData);
  parentPort.once("message", () => parentPort.postMessage(start()));
  parentPort.postMessage("ready");
}
