// Our encoder, or sentencepiece-js, over a file of records (32-bit length, bytes) on so many threads, as a process of its own, so
// that nothing is remembered from another round. Prints the CPU and wall seconds of the encoding alone, and the tokens.
//   node bench/encodeSide.mjs mswitch|sentencepiece-js MODEL RECORDS THREADS
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createEncoder } from "../dist/vocab/encode/createEncoder.js";
import { createLibraryEncoder } from "../dist/vocab/encode/libraryEncoder.js";

/** Where each thread's records lie: whole languages, the largest first to the thread that has least, as `preprocess` deals them out. */
function share(path, threads) {
  const size = (ranges) => ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  const languages = Object.values(JSON.parse(readFileSync(`${path}.languages.json`, "utf8")));
  const shares = Array.from({ length: threads }, () => []);
  for (const ranges of languages.sort((a, b) => size(b) - size(a))) {
    shares.reduce((least, one) => (size(one) < size(least) ? one : least)).push(...ranges);
  }
  return shares;
}

async function load({ side, model, path, threads, thread }) {
  const encoder = await (side === "mswitch" ? createEncoder(model) : createLibraryEncoder(model));
  const bytes = readFileSync(path);
  const texts = [];
  for (const [start, end] of share(path, threads)[thread]) {
    for (let at = start; at < end; ) {
      const textAt = at + 4;
      at = textAt + bytes.readUInt32LE(at);
      texts.push(bytes.subarray(textAt, at));
    }
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
