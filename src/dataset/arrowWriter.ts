import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
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

  take(): Uint8Array {
    const bytes = Buffer.concat(this.chunks);
    this.chunks = [];
    return bytes;
  }
}

/**
 * Writes one shard as an Arrow IPC file, one row a document: `tokens: List<Uint16 | Uint32>`, `line: Uint32` (1-based line of the
 * source) and `bytes: Uint32` (UTF-8 bytes of the text). The bytes depend on the rows and the metadata alone, never on timing.
 */
export class TokenFileWriter {
  private readonly writer = new ChunkWriter();
  private readonly hash = createHash("sha256");
  private readonly schema: Schema;
  private tokens: Uint16Array | Uint32Array;
  private readonly offsets = new Int32Array(batchDocuments + 1);
  private readonly lines = new Uint32Array(batchDocuments);
  private readonly bytes = new Uint32Array(batchDocuments);
  private rows = 0;
  private written = 0;

  /**
   * @param file an empty file, opened for writing
   * @param metadata the schema's metadata, in this order
   */
  constructor(
    private readonly file: FileHandle,
    private readonly tokenType: TokenType,
    metadata: Record<string, string>,
  ) {
    const item = new Field("item", tokenType === "uint16" ? new Uint16() : new Uint32(), false);
    this.schema = new Schema(
      [
        new Field("tokens", new List(item), false),
        new Field("line", new Uint32(), false),
        new Field("bytes", new Uint32(), false),
      ],
      new Map(Object.entries(metadata)),
    );
    this.tokens = this.newTokens(batchTokens);
    this.writer.reset(undefined, this.schema);
  }

  /** Adds a document; where it answers true, `flush` must be awaited before the next one. */
  add(ids: Uint32Array, line: number, bytes: number): boolean {
    const start = this.offsets[this.rows];
    const end = start + ids.length;
    if (end > this.tokens.length) {
      const wider = this.newTokens(Math.max(end, 2 * this.tokens.length));
      wider.set(this.tokens.subarray(0, start));
      this.tokens = wider;
    }
    this.tokens.set(ids, start);
    this.lines[this.rows] = line;
    this.bytes[this.rows] = bytes;
    this.rows++;
    this.offsets[this.rows] = end;
    return end >= batchTokens || this.rows === batchDocuments;
  }

  /** Writes the documents added so far as a record batch. */
  async flush(): Promise<void> {
    if (this.rows === 0) return;
    const { rows, offsets, schema } = this;
    const [list, line, bytes] = schema.fields;
    const item = (list.type as List).children[0];
    const columns = [
      makeData({
        type: list.type as List,
        length: rows,
        nullCount: 0,
        valueOffsets: offsets.subarray(0, rows + 1),
        child: makeData({ type: item.type as Uint16 | Uint32, length: offsets[rows], nullCount: 0, data: this.tokens }),
      }),
      makeData({ type: line.type as Uint32, length: rows, nullCount: 0, data: this.lines }),
      makeData({ type: bytes.type as Uint32, length: rows, nullCount: 0, data: this.bytes }),
    ];
    const data = makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children: columns });
    this.writer.write(new RecordBatch(schema, data));
    this.rows = 0;
    await this.drain();
    if (this.tokens.length > 2 * batchTokens) this.tokens = this.newTokens(batchTokens);
  }

  /** Writes what is left and the footer. The file itself is the caller's to sync and close. */
  async close(): Promise<{ bytes: number; sha256: string }> {
    await this.flush();
    this.writer.finish();
    await this.drain();
    return { bytes: this.written, sha256: this.hash.digest("hex") };
  }

  private async drain(): Promise<void> {
    const chunk = this.writer.take();
    this.hash.update(chunk);
    await this.file.writeFile(chunk);
    this.written += chunk.length;
  }

  private newTokens(length: number): Uint16Array | Uint32Array {
    return this.tokenType === "uint16" ? new Uint16Array(length) : new Uint32Array(length);
  }
}
