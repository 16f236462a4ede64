import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Document, Rejection } from "./document.js";
import { extractText } from "./extractText.js";
import { compressedChunkBytes, GzipFault, gunzip } from "./gunzip.js";
import { type Line, LineSplitter } from "./lineSplitter.js";

export interface ReadDocumentsOptions {
  /** Longer lines are rejected as they stream by. Default 16 MiB; mC4's longest page has 190,000 characters. */
  maxLineBytes?: number;
}

/** What is known of a shard once it has been read. */
export interface ShardSummary {
  /** SHA-256 of the compressed file, in hex: of all its bytes, but where a rejection says that it was unreadable. */
  sha256: string;
  /** Compressed bytes read. */
  bytes: number;
  /** Lines read to their end, blank and rejected ones included. */
  lines: number;
}

/** Some documents and rejections of a shard, both in the order of lines. Chunks follow the order of the shard. */
export interface DocumentChunk {
  documents: Document[];
  rejections: Rejection[];
  /** On the last chunk, and only there. */
  summary?: ShardSummary;
}

/**
 * Reads a shard: gunzip, lines, the `text` field of each. Never throws for what the shard holds, nor where it cannot be read:
 * bad lines are rejected one by one, and a fault of the compressed file after all documents that could be decoded before it. A
 * line that such a fault has cut is no document. Blank lines are no documents and no faults.
 *
 * Memory: about 17 MB for a piece of the stream at most, and `maxLineBytes`, however large the shard or its lines inflate.
 */
export async function* readDocuments(
  path: string,
  { maxLineBytes = 16 * 2 ** 20 }: ReadDocumentsOptions = {},
): AsyncGenerator<DocumentChunk, void> {
  const hash = createHash("sha256");
  const splitter = new LineSplitter(maxLineBytes);
  const open = () => createReadStream(path, { highWaterMark: compressedChunkBytes });
  let bytes = 0;
  const onCompressed = (chunk: Uint8Array): void => {
    hash.update(chunk);
    bytes += chunk.length;
  };
  let last: DocumentChunk;
  try {
    for await (const piece of gunzip(open, onCompressed)) {
      const chunk = toChunk(splitter.push(piece), maxLineBytes);
      if (chunk.documents.length > 0 || chunk.rejections.length > 0) yield chunk;
    }
    last = toChunk(splitter.end(), maxLineBytes);
  } catch (error) {
    if (!(error instanceof GzipFault)) throw error;
    const rejection = { cause: error.rejection, line: splitter.lines + 1, detail: error.message };
    last = { documents: [], rejections: [rejection] };
  }
  yield { ...last, summary: { sha256: hash.digest("hex"), bytes, lines: splitter.lines } };
}

function toChunk(lines: Line[], maxLineBytes: number): DocumentChunk {
  const documents: Document[] = [];
  const rejections: Rejection[] = [];
  for (const { number, length, bytes } of lines) {
    if (!bytes) {
      const detail = `the line has ${length} bytes, the limit is ${maxLineBytes}`;
      rejections.push({ cause: "line-too-long", line: number, detail });
    } else if (!isBlank(bytes)) {
      const text = extractText(bytes);
      if (text instanceof Uint8Array) documents.push({ text, line: number });
      else rejections.push({ ...text, line: number });
    }
  }
  return { documents, rejections };
}

/** Whether a line holds nothing but JSON's white space. */
function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
