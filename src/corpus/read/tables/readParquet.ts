import { open } from "node:fs/promises";
import { messageOf } from "../../../base/errors.js";
import type { DocumentChunk, ShardStream } from "../document.js";
import { checkText } from "../parseText.js";
import { StreamFault } from "../readCompressed.js";

/** The text column of a Parquet file, a row group at a time. A document's line is the number of its row, from 1. */
export async function* readParquet(stream: ShardStream): AsyncGenerator<DocumentChunk, void> {
  const { path, textField, maxLineBytes, clock } = stream;
  // Loaded only for such a file: a run on mC4's shards starts without.
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  // Its hash is taken of all bytes in their order; the reader needs them in another.
  let size = 0;
  for await (const piece of stream.pieces) size += piece.length;
  clock?.lap("read");
  const handle = await open(path, "r");
  try {
    const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
      const bytes = new Uint8Array(Math.max(0, end - start));
      await handle.read(bytes, 0, bytes.length, start);
      return bytes.buffer;
    };
    const file = { byteLength: size, slice };
    const metadata = await attempt("not-parquet", () => parquetMetadataAsync(file));
    const names = parquetSchema(metadata).children.map(({ element }) => element.name);
    if (!names.includes(textField)) {
      throw new StreamFault(
        "missing-text",
        `the file has no column ${textField}; --text-field names another: ${names.slice(0, 8).join(", ")}`,
      );
    }
    let rowStart = 0;
    for (const { num_rows: rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(rows);
      const read = await attempt("corrupt-parquet", () =>
        parquetReadObjects({
          file,
          metadata,
          columns: [textField],
          rowStart,
          rowEnd,
          compressors,
          parsers: keepsBytes,
        }),
      );
      clock?.lap("extract");
      const chunk: DocumentChunk = { documents: [], rejections: [] };
      for (const row of read) {
        const line = ++stream.lines;
        const value: unknown = row[textField];
        const bytes = typeof value === "string" ? Buffer.from(value) : value;
        if (!(bytes instanceof Uint8Array)) {
          const is = value === null || value === undefined ? "absent" : `a ${typeof value}`;
          chunk.rejections.push({
            cause: is === "absent" ? "missing-text" : "text-not-string",
            line,
            detail: `${textField} is ${is}`,
          });
        } else if (bytes.length === 0) {
          chunk.rejections.push({ cause: "empty-text", line, detail: `${textField} is empty` });
        } else if (bytes.length > maxLineBytes) {
          const detail = `the text has ${bytes.length} bytes, the limit is ${maxLineBytes}`;
          chunk.rejections.push({ cause: "line-too-long", line, detail });
        } else {
          const text = checkText(bytes);
          if (text instanceof Uint8Array) chunk.documents.push({ text, line });
          else chunk.rejections.push({ ...text, line });
        }
      }
      yield chunk;
      rowStart = rowEnd;
    }
  } finally {
    await handle.close();
  }
}

/** Text as it stands in the file: decoding would replace what is not UTF-8. */
const keepsBytes = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes };

/** The reader throws whatever it runs into. */
async function attempt<T>(cause: "not-parquet" | "corrupt-parquet", work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StreamFault(cause, `the Parquet file cannot be read (${messageOf(error)})`);
  }
}
