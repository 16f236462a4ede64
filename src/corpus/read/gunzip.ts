import { Inflater } from "./inflater.js";
import { type CompressedSource, StreamFault } from "./readCompressed.js";

/** Inflaters that no stream uses now: memory of WebAssembly is better taken again than left to the garbage collector. */
const idle: Inflater[] = [];

/** The first bytes of a gzip file. */
const magic = [0x1f, 0x8b];

/**
 * Inflates a gzip stream of any number of members; zero bytes between them and after the last are padding. Every byte that can be decoded before
 * a fault is given out before the fault is thrown, whatever the chunks.
 *
 * @returns pieces, not to be changed, each valid until the next is asked for
 * @throws StreamFault
 */
export async function* gunzip({ open, onCompressed, clock }: CompressedSource): AsyncGenerator<Uint8Array, void> {
  const inflater = idle.pop() ?? new Inflater();
  inflater.start();
  const head: number[] = [];
  try {
    for (const chunk of open()) {
      onCompressed(chunk);
      if (head.length < magic.length) head.push(...chunk.subarray(0, magic.length - head.length));
      clock?.lap("read");
      for (const piece of inflater.inflate(chunk)) {
        clock?.lap("inflate");
        yield piece;
      }
      clock?.lap("inflate");
    }
    const { fault, mayEnd } = inflater;
    if (mayEnd) return;
    if (head.some((byte, i) => byte !== magic[i])) {
      throw new StreamFault("not-gzip", "the file does not begin as gzip does (1f 8b)");
    }
    if (fault) throw new StreamFault("corrupt-gzip", `the compressed data is damaged (${fault})`);
    throw new StreamFault("truncated-gzip", "the compressed file ends before its end");
  } finally {
    idle.push(inflater);
  }
}
