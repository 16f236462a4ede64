import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { batchHead, fileHead, fileTail, type WrittenBatch } from "./arrowMessages.js";
import type { TokenType } from "./tokenType.js";

/**
 * A record batch is closed at the first of these. They bound the writer's memory and give a reader about one seek per million
 * tokens; a single document may be longer than a batch and then is a batch of its own.
 */
const batchTokens = 2 ** 20;
const batchDocuments = 2 ** 16;
/** Elements of a column that are always free behind it, so that it can be filled up to eight bytes where it lies. */
const spareElements = 4;

/** Where a record batch grows. One writer after the other takes the same: new ones for each shard keep the garbage collector busy. */
export interface BatchBuffers {
  /** Grows where one document has more tokens than a batch. */
  tokens: Uint16Array | Uint32Array;
  offsets: Int32Array;
  lines: Uint32Array;
  bytes: Uint32Array;
}

export function batchBuffers(tokenType: TokenType): BatchBuffers {
  return {
    tokens: new (tokenType === "uint16" ? Uint16Array : Uint32Array)(batchTokens + spareElements),
    offsets: new Int32Array(batchDocuments + 1 + spareElements),
    lines: new Uint32Array(batchDocuments + spareElements),
    bytes: new Uint32Array(batchDocuments + spareElements),
  };
}

/**
 * Writes one shard as an Arrow IPC file, one row a document: `tokens: List<Uint16 | Uint32>`, `line: Uint32` (1-based line of the
 * source) and `bytes: Uint32` (UTF-8 bytes of the text). The bytes depend on the rows and the metadata alone, never on timing.
 */
export class TokenFileWriter {
  private readonly hash = createHash("sha256");
  private readonly batches: WrittenBatch[] = [];
  private rows = 0;
  private written = 0;

  /**
   * @param file descriptor of an empty file, opened for writing
   * @param buffers this writer's until it has finished
   * @param metadata the schema's metadata, in this order
   */
  constructor(
    private readonly file: number,
    private readonly buffers: BatchBuffers,
    private readonly metadata: Record<string, string>,
  ) {
    buffers.offsets[0] = 0;
    this.write(fileHead);
  }

  /** Adds a document; where it answers true, `flush` must be called before the next one. */
  add(ids: Uint32Array, line: number, bytes: number): boolean {
    const { buffers } = this;
    const start = buffers.offsets[this.rows];
    const end = start + ids.length;
    if (end + spareElements > buffers.tokens.length) {
      const wider = newTokens(buffers, Math.max(end + spareElements, 2 * buffers.tokens.length));
      wider.set(buffers.tokens.subarray(0, start));
      buffers.tokens = wider;
    }
    buffers.tokens.set(ids, start);
    buffers.lines[this.rows] = line;
    buffers.bytes[this.rows] = bytes;
    this.rows++;
    buffers.offsets[this.rows] = end;
    return end >= batchTokens || this.rows === batchDocuments;
  }

  /** Writes the documents added so far as a record batch. */
  flush(): void {
    if (this.rows === 0) return;
    const { rows, buffers } = this;
    const tokens = buffers.offsets[rows];
    const columns = [
      filledUp(buffers.offsets, rows + 1),
      filledUp(buffers.tokens, tokens),
      filledUp(buffers.lines, rows),
      filledUp(buffers.bytes, rows),
    ];
    const head = batchHead(
      rows,
      tokens,
      columns.map(({ length }) => length),
    );
    const offset = this.written;
    this.write(head);
    for (const column of columns) this.write(column);
    this.batches.push({ offset, headBytes: head.length, bodyBytes: this.written - offset - head.length });
    this.rows = 0;
    if (buffers.tokens.length > 2 * batchTokens) buffers.tokens = newTokens(buffers, batchTokens + spareElements);
  }

  /** Writes what is left and the footer. The file itself is the caller's to sync and close. */
  finish(): { bytes: number; sha256: string } {
    this.flush();
    this.write(fileTail(this.buffers.tokens instanceof Uint16Array ? 16 : 32, this.metadata, this.batches));
    return { bytes: this.written, sha256: this.hash.digest("hex") };
  }

  private write(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.hash.update(chunk);
    writeFileSync(this.file, chunk);
    this.written += chunk.length;
  }
}

/** The bytes of the first `length` elements, and zeros behind them up to a multiple of eight. */
function filledUp(column: Int32Array | Uint16Array | Uint32Array, length: number): Uint8Array {
  column.fill(0, length, length + spareElements);
  return new Uint8Array(column.buffer, column.byteOffset, (length * column.BYTES_PER_ELEMENT + 7) & ~7);
}

function newTokens({ tokens }: BatchBuffers, length: number): Uint16Array | Uint32Array {
  return tokens instanceof Uint16Array ? new Uint16Array(length) : new Uint32Array(length);
}
