import { type ErrorDetails, MswitchError } from "../../base/errors.js";
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
export type PrefetchAnswer = { batch: Batch } | { error: PlainError };

/** An error that survives structured cloning. */
export type PlainError = { what: string; details: ErrorDetails } | { bug: unknown };

/** Cloning keeps an Error's message and stack but not its class, so an MswitchError is sent as its parts. */
export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof MswitchError)) return { bug: error };
  return { what: error.what, details: error.details };
}

export function fromPlainError(error: PlainError): unknown {
  return "bug" in error ? error.bug : new MswitchError(error.what, error.details);
}
