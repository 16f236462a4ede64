import { createHash } from "node:crypto";
import { type Compression, compressionOf, decompress } from "./decompress.js";
import type { Document, Rejection } from "./document.js";
import { parseText } from "./parseText.js";
import { readCompressed, StreamFault } from "./readCompressed.js";
import type { StageClock } from "./stageClock.js";
import { type FoundLine, TextFinder } from "./textFinder.js";

/** Finders that no stream uses now: memory of WebAssembly is better taken again than left to the garbage collector. */
const idle: TextFinder[] = [];

/**
 * mC4's longest page has 190,000 characters, which is 1.2 MB with every one of them escaped; longer lines are faults more often than
 * documents, and an encoder's memory grows with its longest document.
 */
export const defaultMaxLineBytes = 2 * 2 ** 20;

export interface ReadDocumentsOptions {
  /** Longer lines are rejected as they stream by. */
  maxLineBytes?: number;
  /** Default: what the path's ending says. */
  compression?: Compression;
  /** Is told what the time was spent on. */
  clock?: StageClock;
}

/** What is known of a shard once it has been read. */
export interface ShardSummary {
  /** SHA-256 of the compressed file, in hex: of all its bytes, but where a rejection says that it was unreadable. */
  sha256: string;
  /** Compressed bytes read. */
  bytes: number;
  /** Bytes of JSON that came out of them. */
  inflatedBytes: number;
  /** Lines read to their end, blank and rejected ones included. */
  lines: number;
}

/**
 * Some documents and rejections of a shard, both in the order of lines. Chunks follow the order of the shard; a chunk's texts are valid
 * until the next one is asked for.
 */
export interface DocumentChunk {
  documents: Document[];
  rejections: Rejection[];
  /** On the last chunk, and only there. */
  summary?: ShardSummary;
}

/**
 * Reads a shard: decompression, lines, the `text` field of each. Never throws for what the shard holds, nor where it cannot be read:
 * bad lines are rejected one by one, and a fault of the compressed file after all documents that could be decoded before it. A
 * line that such a fault has cut is no document. Blank lines are no documents and no faults.
 *
 * Memory: a few dozen megabytes and `maxLineBytes` at most, however large the shard or its lines inflate.
 */
export async function* readDocuments(
  path: string,
  { maxLineBytes = defaultMaxLineBytes, compression = compressionOf(path), clock }: ReadDocumentsOptions = {},
): AsyncGenerator<DocumentChunk, void> {
  let chunk: DocumentChunk = { documents: [], rejections: [] };
  const take = (lines: Iterable<FoundLine>): void => {
    for (const found of lines) {
      const { number: line } = found;
      if ("text" in found) {
        chunk.documents.push({ text: found.text, line });
      } else if ("length" in found) {
        const detail = `the line has ${found.length} bytes, the limit is ${maxLineBytes}`;
        chunk.rejections.push({ cause: "line-too-long", line, detail });
      } else if (!isBlank(found.line)) {
        const text = parseText(found.line);
        if (text instanceof Uint8Array) chunk.documents.push({ text, line });
        else chunk.rejections.push({ ...text, line });
      }
    }
  };
  const hash = createHash("sha256");
  let bytes = 0;
  let inflatedBytes = 0;
  const open = () => readCompressed(path);
  const onCompressed = (compressed: Uint8Array): void => {
    hash.update(compressed);
    bytes += compressed.length;
  };
  const finder = idle.pop() ?? new TextFinder();
  finder.start(maxLineBytes);
  try {
    try {
      for await (const piece of decompress(compression, { open, onCompressed, clock })) {
        inflatedBytes += piece.length;
        take(finder.push(piece));
        clock?.lap("extract");
        if (chunk.documents.length > 0 || chunk.rejections.length > 0) yield chunk;
        chunk = { documents: [], rejections: [] };
      }
      take(finder.end());
    } catch (error) {
      if (!(error instanceof StreamFault)) throw error;
      chunk.rejections.push({ cause: error.rejection, line: finder.lines + 1, detail: error.message });
    }
    yield { ...chunk, summary: { sha256: hash.digest("hex"), bytes, inflatedBytes, lines: finder.lines } };
  } finally {
    idle.push(finder);
  }
}

/** Whether a line holds nothing but JSON's white space. */
function isBlank(line: Uint8Array): boolean {
  return line[0] <= 0x20 && line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
