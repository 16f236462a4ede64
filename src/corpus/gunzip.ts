import { createGunzip, type Gunzip } from "node:zlib";
import { messageOf } from "../base/errors.js";
import type { RejectionCause } from "./document.js";

/** Why a compressed stream could not be read to its end. */
export class GzipFault extends Error {
  constructor(
    readonly rejection: Extract<RejectionCause, "not-gzip" | "truncated-gzip" | "corrupt-gzip" | "unreadable">,
    detail: string,
  ) {
    super(detail);
  }
}

/** Deflate grows no input more than 1032 times, so a compressed chunk of 32 KiB can never hold more than 34 MB. */
export const compressedChunkBytes = 32 * 1024;

const pieceBytes = 128 * 1024;

/**
 * Inflates a gzip stream of any number of members; zero bytes after the last are padding. Every byte that can be decoded before
 * a fault is given out before the fault is thrown, whatever the chunks.
 *
 * @param open starts the compressed stream; called a second time to recover what was decoded shortly before a corruption
 * @param onCompressed sees every compressed chunk once, those after a fault included
 * @throws GzipFault
 */
export async function* gunzip(
  open: () => AsyncIterable<Uint8Array>,
  onCompressed: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  const inflater = new Inflater();
  let offset = 0;
  let inflated = 0;
  let fault: GzipFault | undefined;
  let faultyChunk = 0;
  try {
    for await (const chunk of readable(open())) {
      onCompressed(chunk);
      if (!fault) {
        const pieces = await inflater.write(chunk);
        if (pieces instanceof Error) {
          fault = faultOf(pieces, inflater.looksLikeGzip);
          faultyChunk = offset;
        } else {
          for (const piece of pieces) {
            inflated += piece.length;
            yield piece;
          }
        }
      }
      offset += chunk.length;
    }
    if (fault?.rejection === "corrupt-gzip") yield* recover(open, faultyChunk, inflated);
    if (fault) throw fault;
    const rest = await inflater.end();
    if (rest instanceof Error) throw faultOf(rest, inflater.looksLikeGzip);
    yield* rest;
  } finally {
    inflater.close();
  }
}

/**
 * zlib drops what the call that meets the fault had decoded, up to all of a small shard where only the checksum is wrong. So the
 * stream is decoded again, one byte at a time in the chunk at fault, and what was not given out yet is.
 */
async function* recover(
  open: () => AsyncIterable<Uint8Array>,
  faultyChunk: number,
  alreadyGiven: number,
): AsyncGenerator<Uint8Array, void> {
  const inflater = new Inflater();
  let offset = 0;
  let skip = alreadyGiven;
  try {
    for await (const chunk of readable(open())) {
      const step = offset < faultyChunk ? chunk.length : 1;
      for (let i = 0; i < chunk.length; i += step) {
        const pieces = await inflater.write(chunk.subarray(i, i + step));
        if (pieces instanceof Error) return;
        for (const piece of pieces) {
          if (piece.length > skip) yield piece.subarray(skip);
          skip = Math.max(0, skip - piece.length);
        }
      }
      offset += chunk.length;
    }
  } finally {
    inflater.close();
  }
}

/** One gzip stream being inflated; calls must not overlap. */
class Inflater {
  readonly #gunzip: Gunzip = createGunzip({ chunkSize: pieceBytes });
  #pieces: Uint8Array[] = [];
  #settle: (result: undefined | Error) => void = () => undefined;
  #ended = false;
  readonly #magic: number[] = [];

  constructor() {
    this.#gunzip.on("data", (piece: Uint8Array) => this.#pieces.push(piece));
    this.#gunzip.on("error", (error) => this.#settle(error));
    this.#gunzip.on("end", () => {
      this.#ended = true;
      this.#settle(undefined);
    });
  }

  /** Whether the first bytes are those of a gzip file, as far as they are there. */
  get looksLikeGzip(): boolean {
    return this.#magic.every((byte, i) => byte === [0x1f, 0x8b][i]);
  }

  /** All that `chunk` decodes to, or zlib's error, after which there is no going on. */
  async write(chunk: Uint8Array): Promise<Uint8Array[] | Error> {
    if (this.#magic.length < 2) this.#magic.push(...chunk.subarray(0, 2 - this.#magic.length));
    if (this.#ended) return [];
    return this.#run((done) => this.#gunzip.write(chunk, done));
  }

  /** The rest of the output, or zlib's error where the stream is not whole. */
  async end(): Promise<Uint8Array[] | Error> {
    if (this.#ended) return [];
    return this.#run(() => this.#gunzip.end());
  }

  close(): void {
    this.#gunzip.destroy();
  }

  async #run(start: (done: () => void) => void): Promise<Uint8Array[] | Error> {
    const error = await new Promise<undefined | Error>((resolve) => {
      this.#settle = resolve;
      start(() => resolve(undefined));
    });
    const pieces = this.#pieces;
    this.#pieces = [];
    return error ?? pieces;
  }
}

function faultOf(error: NodeJS.ErrnoException, looksLikeGzip: boolean): GzipFault {
  if (!looksLikeGzip) return new GzipFault("not-gzip", "the file does not begin as gzip does (1f 8b)");
  if (error.code === "Z_BUF_ERROR") return new GzipFault("truncated-gzip", "the compressed file ends before its end");
  return new GzipFault("corrupt-gzip", `the compressed data is damaged (${error.message})`);
}

/** The chunks as they are; an error of the file system becomes a fault. */
async function* readable(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* chunks;
  } catch (error) {
    throw new GzipFault("unreadable", `the file cannot be read (${messageOf(error)})`);
  }
}
