import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import {
  Field,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  Schema,
  Struct,
  type TypeMap,
  Uint16,
  Uint32,
} from "apache-arrow";
import type { TokenType } from "./tokenType.js";

/**
 * A record batch is closed at the first of these. They bound the writer's memory and give a reader about one seek per million
 * tokens; a single document may be longer than a batch and then is a batch of its own.
 */
const batchTokens = 2 ** 20;
const batchDocuments = 2 ** 16;

/** Arrow's own writer, its chunks kept in order until they are taken instead of going through a stream without back pressure. */
class ChunkWriter extends RecordBatchFileWriter<TypeMap> {
  private chunks: Uint8Array[] = [];

  protected override _write(chunk: ArrayBufferView): this {
    if (this._started && chunk.byteLength > 0) {
      this.chunks.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this._position += chunk.byteLength;
    }
    return this;
  }

  take(): Uint8Array[] {
    const chunks = this.chunks;
    this.chunks = [];
    return chunks;
  }
}

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
    tokens: new (tokenType === "uint16" ? Uint16Array : Uint32Array)(batchTokens),
    offsets: new Int32Array(batchDocuments + 1),
    lines: new Uint32Array(batchDocuments),
    bytes: new Uint32Array(batchDocuments),
  };
}

/**
 * Writes one shard as an Arrow IPC file, one row a document: `tokens: List<Uint16 | Uint32>`, `line: Uint32` (1-based line of the
 * source) and `bytes: Uint32` (UTF-8 bytes of the text). The bytes depend on the rows and the metadata alone, never on timing.
 */
export class TokenFileWriter {
  private readonly writer = new ChunkWriter();
  private readonly hash = createHash("sha256");
  private readonly schema: Schema;
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
    metadata: Record<string, string>,
  ) {
    const item = new Field("item", buffers.tokens instanceof Uint16Array ? new Uint16() : new Uint32(), false);
    this.schema = new Schema(
      [
        new Field("tokens", new List(item), false),
        new Field("line", new Uint32(), false),
        new Field("bytes", new Uint32(), false),
      ],
      new Map(Object.entries(metadata)),
    );
    buffers.offsets[0] = 0;
    this.writer.reset(undefined, this.schema);
  }

  /** Adds a document; where it answers true, `flush` must be called before the next one. */
  add(ids: Uint32Array, line: number, bytes: number): boolean {
    const { buffers } = this;
    const start = buffers.offsets[this.rows];
    const end = start + ids.length;
    if (end > buffers.tokens.length) {
      const wider = newTokens(buffers, Math.max(end, 2 * buffers.tokens.length));
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
    const { rows, schema, buffers } = this;
    const { offsets } = buffers;
    const [list, line, bytes] = schema.fields;
    const item = (list.type as List).children[0];
    const columns = [
      makeData({
        type: list.type as List,
        length: rows,
        nullCount: 0,
        valueOffsets: offsets.subarray(0, rows + 1),
        child: makeData({
          type: item.type as Uint16 | Uint32,
          length: offsets[rows],
          nullCount: 0,
          data: buffers.tokens,
        }),
      }),
      makeData({ type: line.type as Uint32, length: rows, nullCount: 0, data: buffers.lines }),
      makeData({ type: bytes.type as Uint32, length: rows, nullCount: 0, data: buffers.bytes }),
    ];
    const data = makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children: columns });
    this.writer.write(new RecordBatch(schema, data));
    this.rows = 0;
    this.drain();
    if (buffers.tokens.length > 2 * batchTokens) buffers.tokens = newTokens(buffers, batchTokens);
  }

  /** Writes what is left and the footer. The file itself is the caller's to sync and close. */
  finish(): { bytes: number; sha256: string } {
    this.flush();
    this.writer.finish();
    this.drain();
    return { bytes: this.written, sha256: this.hash.digest("hex") };
  }

  private drain(): void {
    for (const chunk of this.writer.take()) {
      this.hash.update(chunk);
      writeFileSync(this.file, chunk);
      this.written += chunk.length;
    }
  }
}

function newTokens({ tokens }: BatchBuffers, length: number): Uint16Array | Uint32Array {
  return tokens instanceof Uint16Array ? new Uint16Array(length) : new Uint32Array(length);
}
