import { gunzip } from "./gunzip.js";
import type { CompressedSource } from "./readCompressed.js";
import { unzstd } from "./unzstd.js";

/** How a shard is compressed, as its name says. */
export type Compression = "gzip" | "zstd" | "none";

export function compressionOf(name: string): Compression {
  if (name.endsWith(".gz")) return "gzip";
  return name.endsWith(".zst") ? "zstd" : "none";
}

/**
 * The decompressed bytes of a source, in pieces that are not to be changed, each valid until the next is asked for. Every byte
 * that can be decoded before a fault is given out before the fault is thrown.
 *
 * @throws StreamFault
 */
export function decompress(compression: Compression, source: CompressedSource): AsyncGenerator<Uint8Array, void> {
  if (compression === "gzip") return gunzip(source);
  return compression === "zstd" ? unzstd(source) : asItIs(source);
}

async function* asItIs({ open, onCompressed, clock }: CompressedSource): AsyncGenerator<Uint8Array, void> {
  for (const chunk of open()) {
    onCompressed(chunk);
    clock?.lap("read");
    yield chunk;
  }
}
