import { closeSync, openSync, readSync } from "node:fs";
import { messageOf } from "../../base/errors.js";
import type { RejectionCause } from "./document.js";
import type { StageClock } from "./stageClock.js";

/** Why a compressed stream could not be read to its end. */
export class StreamFault extends Error {
  constructor(
    readonly rejection: RejectionCause,
    detail: string,
  ) {
    super(detail);
  }
}

/** Read at a time. */
const chunkBytes = 32 * 1024;

/** A compressed file as its decoders read it. */
export interface CompressedSource {
  /** Starts the stream; a second time to recover what was decoded shortly before a corruption. An error of it is a StreamFault. */
  open: () => Iterable<Uint8Array>;
  /** Sees every compressed chunk once, those after a fault included. */
  onCompressed: (chunk: Uint8Array) => void;
  clock?: StageClock;
}

/**
 * The bytes of a file in chunks, each valid until the next is asked for; an error of the file system becomes a fault.
 *
 * It reads in the calling thread: a worker has nothing else to do, and a hop to a thread of the pool and back costs more than the read.
 */
export function* readCompressed(path: string): Generator<Uint8Array, void> {
  try {
    const file = openSync(path, "r");
    try {
      const block = Buffer.allocUnsafeSlow(chunkBytes);
      for (let length = readSync(file, block); length > 0; length = readSync(file, block))
        yield block.subarray(0, length);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new StreamFault("unreadable", `the file cannot be read (${messageOf(error)})`);
  }
}
