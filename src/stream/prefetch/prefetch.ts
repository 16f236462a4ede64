import { Worker } from "node:worker_threads";
import { workerUrl } from "../../base/builtCode.js";
import { type ClonableError, fromClonable, MswitchError } from "../../base/errors.js";
import type { Batch, StreamConfig } from "../batch.js";

/** What the worker is started with. */
export interface PrefetchWorkerData {
  /** Folder of the tokenized dataset; the worker opens it itself. */
  datasetDir: string;
  config: StreamConfig;
}

/** Main thread to worker: the step to compute next. Answers come in the order of the requests. */
export type PrefetchRequest = number;

/** Worker to main thread. */
export type PrefetchAnswer = { batch: Batch } | { error: ClonableError };

export interface PrefetchOptions {
  /** Step of the first batch. */
  startStep: number;
  /** How many batches are computed ahead of the one asked for. */
  ahead?: number;
}

/** Batches computed ahead in a worker thread, in the order of the steps. */
export interface Prefetcher {
  /** The next step's batch, equal to `batch(step)`. Rejects with what the worker threw, and after `close`. */
  next(): Promise<Batch>;
  /** Ends the worker at once, in the middle of a batch if need be. */
  close(): Promise<void>;
}

interface Slot {
  promise: Promise<Batch>;
  resolve(batch: Batch): void;
  reject(error: unknown): void;
}

/**
 * Starts a worker that opens the dataset itself and prepares batches from `startStep` on, `ahead` of them (4 by default), so
 * that training does not wait. The worker never keeps the process alive, except while a `next()` is being waited for.
 */
export function prefetch(
  datasetDir: string,
  config: StreamConfig,
  { startStep, ahead = 4 }: PrefetchOptions,
): Prefetcher {
  const worker = new Worker(workerUrl("./prefetchWorker", import.meta.url), {
    workerData: { datasetDir, config } satisfies PrefetchWorkerData,
    // The process's own flags are not the worker's: `--input-type`, as with `node -e`, would keep it from starting.
    execArgv: [],
  });
  worker.unref();

  /** Requested and not handed out by `next()` yet; answered or not. */
  const ready: Slot[] = [];
  /** Requested and not answered yet. */
  const unanswered: Slot[] = [];
  let nextStep = startStep;
  let waiting = 0;
  let ended: unknown;

  const request = (): void => {
    const slot = newSlot();
    ready.push(slot);
    unanswered.push(slot);
    worker.postMessage(nextStep++ satisfies PrefetchRequest);
  };
  const end = (error: unknown): void => {
    ended ??= error;
    for (const slot of unanswered.splice(0)) slot.reject(ended);
  };

  worker.on("message", (answer: PrefetchAnswer) => {
    const slot = unanswered.shift();
    if ("batch" in answer) slot?.resolve(answer.batch);
    else slot?.reject(fromClonable(answer.error));
  });
  worker.on("error", end);
  worker.on("exit", (code) =>
    end(new MswitchError("the data worker ended", { code: "data-worker-ended", why: `exit code ${code}` })),
  );
  for (let slot = 0; slot < ahead; slot++) request();

  return {
    async next() {
      if (ended) throw ended;
      request();
      const slot = ready.shift() as Slot;
      // A referenced worker keeps the process alive: right while someone waits for it, and only then.
      if (waiting++ === 0) worker.ref();
      try {
        return await slot.promise;
      } finally {
        if (--waiting === 0) worker.unref();
      }
    },
    async close() {
      end(new MswitchError("the data worker was closed", { code: "data-worker-closed" }));
      await worker.terminate();
    },
  };
}

function newSlot(): Slot {
  let resolve: Slot["resolve"] = () => undefined;
  let reject: Slot["reject"] = () => undefined;
  const promise = new Promise<Batch>((onBatch, onError) => {
    resolve = onBatch;
    reject = onError;
  });
  // A batch that nobody asks for any more may fail unheard.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
