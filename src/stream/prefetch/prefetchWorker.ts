import { parentPort, workerData } from "node:worker_threads";
import { toClonable } from "../../base/errors.js";
import { openDataset } from "../../dataset/read/openDataset.js";
import type { ExampleStream } from "../batch.js";
import { createExampleStream } from "../createExampleStream.js";
import type { PrefetchAnswer, PrefetchRequest, PrefetchWorkerData } from "./prefetch.js";

if (!parentPort) throw new Error("prefetchWorker runs as a worker thread only");
const port = parentPort;
const { datasetDir, config } = workerData as PrefetchWorkerData;
const opening: Promise<ExampleStream> = openDataset(datasetDir).then((dataset) => createExampleStream(dataset, config));
// Each request answers with it; until the first one it must not count as unhandled.
opening.catch(() => undefined);

// Requests queue up behind the opening and are answered in order: nothing else is awaited.
port.on("message", async (step: PrefetchRequest) => {
  try {
    const batch = (await opening).batch(step);
    port.postMessage({ batch } satisfies PrefetchAnswer, [
      batch.inputs.buffer as ArrayBuffer,
      batch.targets.buffer as ArrayBuffer,
      batch.languages.buffer as ArrayBuffer,
    ]);
  } catch (error) {
    port.postMessage({ error: toClonable(error) } satisfies PrefetchAnswer);
  }
});
