import { open } from "node:fs/promises";
import { messageOf } from "../../../base/errors.js";
import type { DocumentChunk, ShardStream } from "../document.js";
import { checkText, isFault, type TextFault } from "../parseText.js";
import { StreamFault } from "../readCompressed.js";

/** The text column of a Parquet file, a row group at a time. A document's line is the number of its row, from 1. */
export async function* readParquet(stream: ShardStream): AsyncGenerator<DocumentChunk, void> {
  const { path, textField, targetsField, maxLineBytes, clock } = stream;
  const fields = targetsField === undefined ? [textField] : [textField, targetsField];
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
    const absent = fields.findIndex((field) => !names.includes(field));
    if (absent >= 0) {
      const flag = targetsField === undefined ? "--text-field" : ["--inputs-field", "--targets-field"][absent];
      throw new StreamFault(
        "missing-text",
        `the file has no column ${fields[absent]}; ${flag} names another: ${names.slice(0, 8).join(", ")}`,
      );
    }
    let rowStart = 0;
    for (const { num_rows: rows } of metadata.row_groups) {
      const rowEnd = rowStart + Number(rows);
      const read = await attempt("corrupt-parquet", () =>
        parquetReadObjects({
          file,
          metadata,
          columns: fields,
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
        const texts = fields.map((field) => textOfValue(row[field], field, maxLineBytes));
        const wrong = texts.find(isFault);
        const [text, targets] = texts as Uint8Array[];
        if (wrong) chunk.rejections.push({ ...wrong, line });
        else chunk.documents.push(targets ? { text, targets, line } : { text, line });
      }
      yield chunk;
      rowStart = rowEnd;
    }
  } finally {
    await handle.close();
  }
}

function textOfValue(value: unknown, field: string, maxLineBytes: number): Uint8Array | TextFault {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  if (!(bytes instanceof Uint8Array)) {
    const is = value === null || value === undefined ? "absent" : `a ${typeof value}`;
    return { cause: is === "absent" ? "missing-text" : "text-not-string", detail: `${field} is ${is}` };
  }
  if (bytes.length === 0) return { cause: "empty-text", detail: `${field} is empty` };
  if (bytes.length > maxLineBytes) {
    return { cause: "line-too-long", detail: `the text has ${bytes.length} bytes, the limit is ${maxLineBytes}` };
  }
  return checkText(bytes);
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
