import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { binaryFormat, guessFormat, headBytes, strangeKind } from "./contentKind.js";
import { type Compression, compressionOf, decompress } from "./decompress.js";
import type { DocumentChunk, ShardStream } from "./document.js";
import { defaultTextField, type Format, formatOf } from "./format.js";
import { checkText, isFault, parsePair, parseText, type TextFault, type TextPair } from "./parseText.js";
import { readCompressed, StreamFault } from "./readCompressed.js";
import type { StageClock } from "./stageClock.js";
import { readCsv } from "./tables/readCsv.js";
import { readParquet } from "./tables/readParquet.js";
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
  format?: Format;
  /** Field or column that holds the text; `text` by default. */
  textField?: string;
  /** Text-to-text pairs are read: this field holds the targets, `textField` the inputs. */
  targetsField?: string;
  /** Is told what the time was spent on. */
  clock?: StageClock;
}

/**
 * Reads a shard: decompression, lines or rows, the text of each. Never throws for what the shard holds, nor where it cannot be read:
 * bad lines are rejected one by one, and a fault of the compressed file after all documents that could be decoded before it. A
 * line that such a fault has cut is no document. Blank lines are no documents and no faults. A UTF-8 byte order mark is passed over. A file that
 * is something else than its name says is rejected as a whole, under a cause that says what it is.
 *
 * Memory: a few dozen megabytes and `maxLineBytes` at most, however large the shard or its lines inflate; of Parquet one row group's column.
 */
export async function* readDocuments(
  path: string,
  options: ReadDocumentsOptions = {},
): AsyncGenerator<DocumentChunk, void> {
  const { maxLineBytes = defaultMaxLineBytes, textField = defaultTextField, targetsField, clock } = options;
  const { compression = compressionOf(path), format = formatOf(path) ?? "jsonl" } = options;
  const hash = createHash("sha256");
  let bytes = 0;
  let inflatedBytes = 0;
  const onCompressed = (compressed: Uint8Array): void => {
    hash.update(compressed);
    bytes += compressed.length;
  };
  const source = { open: () => readCompressed(path), onCompressed, clock };
  const pieces = checkedPieces(path, compression, format, source, (length) => (inflatedBytes += length));
  const stream: ShardStream = { path, pieces, maxLineBytes, textField, targetsField, clock, lines: 0 };
  const reader = { jsonl: readLines, text: readLines, csv: readCsv, tsv: readCsv, parquet: readParquet }[format];
  let last: DocumentChunk = { documents: [], rejections: [] };
  try {
    for await (const chunk of reader(stream, format)) {
      if (chunk.documents.length > 0 || chunk.rejections.length > 0) yield chunk;
    }
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    last = { documents: [], rejections: [{ cause: error.rejection, line: stream.lines + 1, detail: error.message }] };
  }
  yield { ...last, summary: { sha256: hash.digest("hex"), bytes, inflatedBytes, lines: stream.lines } };
}

/** The decompressed bytes without a byte order mark; a fault, once all of the file was hashed, where they are no such text at all. */
async function* checkedPieces(
  path: string,
  compression: Compression,
  format: Format,
  source: Parameters<typeof decompress>[1],
  onInflated: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  let fault = faultOfHead(headOf(path), compression, format);
  if (fault) {
    for (const chunk of source.open()) source.onCompressed(chunk);
    throw fault;
  }
  let first = true;
  try {
    for await (const piece of decompress(compression, source)) {
      onInflated(piece.length);
      if (fault) continue;
      if (first && format !== "parquet") {
        first = false;
        fault = faultOfText(piece, compression);
        if (fault) continue;
        if (piece[0] === 0xef && piece[1] === 0xbb && piece[2] === 0xbf) {
          yield piece.subarray(3);
          continue;
        }
      }
      yield piece;
    }
  } catch (error) {
    if (!(error instanceof StreamFault) || !/^not-/.test(error.rejection)) throw error;
    const guess = guessFormat(headOf(path));
    throw guess ? new StreamFault(error.rejection, `${error.message}: it is ${guess}; rename it`) : error;
  }
  if (fault) throw fault;
}

function headOf(path: string): Uint8Array {
  try {
    const file = openSync(path, "r");
    try {
      const head = Buffer.alloc(headBytes);
      return head.subarray(0, readSync(file, head));
    } finally {
      closeSync(file);
    }
  } catch {
    // Reading it says why.
    return new Uint8Array(0);
  }
}

/** What is wrong with a file by its first bytes. */
function faultOfHead(head: Uint8Array, compression: Compression, format: Format): StreamFault | undefined {
  const strange = strangeKind(head);
  if (strange) return new StreamFault(strange.cause, `the file is ${strange.is}`);
  if (compression !== "none" || format === "parquet") return undefined;
  const binary = binaryFormat(head);
  return binary
    ? new StreamFault("mislabelled", `the file is ${binary}, which its name does not say: rename it`)
    : undefined;
}

/** What is wrong with decompressed text by its first bytes. */
function faultOfText(head: Uint8Array, compression: Compression): StreamFault | undefined {
  const strange = strangeKind(head);
  if (strange) return new StreamFault(strange.cause, `what it holds is ${strange.is}`);
  const binary = binaryFormat(head);
  if (!binary || compression === "none") return undefined;
  const compressed = ["gzip", "Zstandard", "xz", "bzip2"].includes(binary);
  return compressed
    ? new StreamFault("compressed-twice", `what it holds is compressed again (${binary}): decompress it once`)
    : new StreamFault("mislabelled", `what it holds is ${binary}`);
}

/** Lines of JSON or of plain text. */
async function* readLines(stream: ShardStream, format: Format): AsyncGenerator<DocumentChunk, void> {
  const { maxLineBytes, textField, targetsField, clock } = stream;
  let chunk: DocumentChunk = { documents: [], rejections: [] };
  const parse = (line: Uint8Array): { text: Uint8Array } | TextPair | TextFault => {
    if (targetsField !== undefined) return parsePair(line, textField, targetsField);
    const text = format === "text" ? checkText(line) : parseText(line, textField);
    return text instanceof Uint8Array ? { text } : text;
  };
  const take = (lines: Iterable<FoundLine>): void => {
    for (const found of lines) {
      const { number: line } = found;
      if ("text" in found) {
        chunk.documents.push({ text: found.text, line });
      } else if ("length" in found) {
        const detail = `the line has ${found.length} bytes, the limit is ${maxLineBytes}`;
        chunk.rejections.push({ cause: "line-too-long", line, detail });
      } else if (!isBlank(found.line)) {
        const parsed = parse(found.line);
        if (isFault(parsed)) chunk.rejections.push({ ...parsed, line });
        else chunk.documents.push({ ...parsed, line });
      }
    }
  };
  const finder = idle.pop() ?? new TextFinder();
  finder.start(maxLineBytes, format === "text" || targetsField !== undefined ? undefined : textField);
  try {
    for await (const piece of stream.pieces) {
      take(finder.push(piece));
      clock?.lap("extract");
      stream.lines = finder.lines;
      yield chunk;
      chunk = { documents: [], rejections: [] };
    }
    take(finder.end());
    stream.lines = finder.lines;
    yield chunk;
  } finally {
    idle.push(finder);
  }
}

/** Whether a line holds nothing but JSON's white space. */
function isBlank(line: Uint8Array): boolean {
  return line[0] <= 0x20 && line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
