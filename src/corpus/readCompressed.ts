import { open } from "node:fs/promises";
import { messageOf } from "../base/errors.js";
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

/** Deflate grows no input more than 1032 times, so a compressed chunk of 32 KiB can never hold more than 34 MB. */
const chunkBytes = 32 * 1024;

/** Read from the file at a time: each read is a hop to a thread of the pool and back. */
const blockBytes = 32 * chunkBytes;

/** A compressed file as its decoders read it. */
export interface CompressedSource {
  /** Starts the stream; a second time to recover what was decoded shortly before a corruption. An error of it is a StreamFault. */
  open: () => AsyncIterable<Uint8Array>;
  /** Sees every compressed chunk once, those after a fault included. */
  onCompressed: (chunk: Uint8Array) => void;
  clock?: StageClock;
}

/** The bytes of a file in chunks; an error of the file system becomes a fault. */
export async function* readCompressed(path: string): AsyncGenerator<Uint8Array, void> {
  try {
    const file = await open(path);
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafeSlow(blockBytes), 0, blockBytes);
        if (bytesRead === 0) return;
        for (let start = 0; start < bytesRead; start += chunkBytes) {
          yield buffer.subarray(start, Math.min(start + chunkBytes, bytesRead));
        }
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new StreamFault("unreadable", `the file cannot be read (${messageOf(error)})`);
  }
}
