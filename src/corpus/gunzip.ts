import type { ZlibOptions } from "node:zlib";
import { Gunzip } from "minizlib";
import { type CompressedSource, StreamFault } from "./readCompressed.js";

/** Inflated bytes handed on at a time. All that a piece's lines are found to be is held at once, and some lines are three bytes long. */
const pieceBytes = 32 * 1024;

/** Steps in which the chunk at fault is decoded again, each narrowing the place of the fault down; the last must be 1. */
const recoverySteps = [512, 1];

/**
 * Inflates a gzip stream of any number of members; zero bytes after the last are padding. Every byte that can be decoded before
 * a fault is given out before the fault is thrown, whatever the chunks.
 *
 * It inflates in the calling thread, with no hop to zlib's thread pool: a worker then keeps one core busy, not one and a half.
 *
 * @throws StreamFault
 */
export async function* gunzip({ open, onCompressed, clock }: CompressedSource): AsyncGenerator<Uint8Array, void> {
  const inflater = new Inflater();
  try {
    yield* inflate(inflater, { open, onCompressed, clock });
  } finally {
    inflater.close();
  }
}

async function* inflate(
  inflater: Inflater,
  { open, onCompressed, clock }: CompressedSource,
): AsyncGenerator<Uint8Array, void> {
  let offset = 0;
  let inflated = 0;
  let fault: StreamFault | undefined;
  let faultyChunk = 0;
  for (const chunk of open()) {
    onCompressed(chunk);
    clock?.lap("read");
    if (!fault) {
      const error = inflater.write(chunk);
      clock?.lap("inflate");
      for (const piece of inflater.take()) {
        inflated += piece.length;
        yield piece;
      }
      if (error) {
        fault = faultOf(error, inflater.looksLikeGzip);
        faultyChunk = offset;
      }
    }
    offset += chunk.length;
  }
  if (fault?.rejection === "corrupt-gzip") {
    for (const step of recoverySteps) {
      for await (const piece of recover(open, faultyChunk, step, inflated)) {
        inflated += piece.length;
        yield piece;
      }
    }
  }
  if (fault) throw fault;
  const error = inflater.end();
  yield* inflater.take();
  if (error) throw faultOf(error, inflater.looksLikeGzip);
}

/**
 * zlib drops what the call that meets the fault had decoded, up to all of a small shard where only the checksum is wrong. So the
 * stream is decoded again, in small steps in the chunk at fault, and what was not given out yet is.
 */
async function* recover(
  open: () => Iterable<Uint8Array>,
  faultyChunk: number,
  smallStep: number,
  alreadyGiven: number,
): AsyncGenerator<Uint8Array, void> {
  const inflater = new Inflater();
  let offset = 0;
  let skip = alreadyGiven;
  try {
    for (const chunk of open()) {
      const step = offset < faultyChunk ? chunk.length : smallStep;
      for (let i = 0; i < chunk.length; i += step) {
        const error = inflater.write(chunk.subarray(i, i + step));
        for (const piece of inflater.take()) {
          if (piece.length > skip) yield piece.subarray(skip);
          skip = Math.max(0, skip - piece.length);
        }
        if (error) return;
      }
      offset += chunk.length;
    }
  } finally {
    inflater.close();
  }
}

/** One gzip stream being inflated. */
class Inflater {
  // What zlib takes is handed through, though minizlib does not declare all of it.
  readonly #gunzip = new Gunzip({ chunkSize: pieceBytes } satisfies ZlibOptions as object);
  #pieces: Uint8Array[] = [];
  #error: NodeJS.ErrnoException | undefined;
  #ended = false;
  readonly #magic: number[] = [];

  constructor() {
    this.#gunzip.on("data", (piece: Uint8Array) => this.#pieces.push(piece));
    this.#gunzip.on("error", (error) => {
      this.#error = error as NodeJS.ErrnoException;
    });
  }

  /** Whether the first bytes are those of a gzip file, as far as they are there. */
  get looksLikeGzip(): boolean {
    return this.#magic.every((byte, i) => byte === [0x1f, 0x8b][i]);
  }

  /** Decodes a chunk; answers with zlib's error where there is one, after which there is no going on. */
  write(chunk: Uint8Array): Error | undefined {
    if (this.#magic.length < 2) this.#magic.push(...chunk.subarray(0, 2 - this.#magic.length));
    if (this.#ended) return undefined;
    this.#gunzip.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    // zlib leaves padding after the last member unread, and all that comes after it.
    const { handle } = this.#gunzip;
    if (handle && Number(handle.bytesWritten) < chunk.length) this.#ended = true;
    return this.#error;
  }

  /** Says that nothing follows; answers with zlib's error where the stream is not whole. */
  end(): Error | undefined {
    if (!this.#ended) this.#gunzip.end();
    return this.#error;
  }

  /** Frees zlib's memory, for which the garbage collector would take its time. */
  close(): void {
    this.#gunzip.close();
  }

  /** What was decoded since the last call. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }
}

function faultOf(error: NodeJS.ErrnoException, looksLikeGzip: boolean): StreamFault {
  if (!looksLikeGzip) return new StreamFault("not-gzip", "the file does not begin as gzip does (1f 8b)");
  if (error.code === "Z_BUF_ERROR") return new StreamFault("truncated-gzip", "the compressed file ends before its end");
  return new StreamFault("corrupt-gzip", `the compressed data is damaged (${error.message.replace(/^zlib: /, "")})`);
}
