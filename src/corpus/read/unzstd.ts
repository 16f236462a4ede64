import { Decompress } from "fzstd";
import { type CompressedSource, StreamFault } from "./readCompressed.js";
import { ZstdFrames } from "./zstdFrames.js";

/**
 * Decodes a Zstandard stream (RFC 8878) of any number of frames, block by block: memory is a window and a block, whatever the file
 * claims. Frames' checksums are held against what was decoded. Every block before a fault is given out before the fault is thrown.
 *
 * @throws StreamFault
 */
export async function* unzstd({ open, onCompressed, clock }: CompressedSource): AsyncGenerator<Uint8Array, void> {
  const frames = await ZstdFrames.create((onData) => new Decompress(onData));
  let fault: StreamFault | undefined;
  for (const chunk of open()) {
    onCompressed(chunk);
    clock?.lap("read");
    if (fault) continue;
    frames.push(chunk);
    for (;;) {
      const piece = nextPiece(frames);
      clock?.lap("inflate");
      if (piece === undefined) break;
      if (piece instanceof StreamFault) {
        fault = piece;
        break;
      }
      if (piece.length > 0) yield piece;
    }
  }
  fault ??= frames.faultAtEnd();
  if (fault) throw fault;
}

function nextPiece(frames: ZstdFrames): Uint8Array | StreamFault | undefined {
  try {
    return frames.next();
  } catch (error) {
    if (error instanceof StreamFault) return error;
    // fzstd meets most damage with an error of its own, and the rest with whatever it runs into.
    return new StreamFault("corrupt-zstd", `the compressed data is damaged (${(error as Error).message})`);
  }
}
