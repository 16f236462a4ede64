import { messageOf } from "../../../base/errors.js";
import type { DocumentChunk, ShardStream } from "../document.js";
import type { Format } from "../format.js";
import { checkText } from "../parseText.js";
import { StreamFault } from "../readCompressed.js";

/**
 * The text column of a table with a header line (RFC 4180; tab-separated where the format is `tsv`). A document's line is the number of its row, the
 * header being 1: the line of the file, unless texts hold newlines.
 */
export async function* readCsv(stream: ShardStream, format: Format): AsyncGenerator<DocumentChunk, void> {
  const { textField, maxLineBytes, clock } = stream;
  // Loaded only for such a file.
  const { parse } = await import("csv-parse");
  /** Their fields are bytes, since no encoding is given; the parser's types say otherwise. */
  const rows: string[][] = [];
  let fault: StreamFault | undefined;
  const parser = parse({
    delimiter: format === "tsv" ? "\t" : ",",
    encoding: null,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maxLineBytes,
    // Taken at once: those before an error would be lost in the parser's queue.
    on_record: (row) => {
      rows.push(row);
      return null;
    },
  });
  const closed = new Promise((resolve) => parser.once("close", resolve));
  parser.on("error", (error) => {
    const why = messageOf(error).replace(/\p{Cc}/gu, " ");
    fault ??= new StreamFault("invalid-csv", `the rest of the table cannot be read (${why})`);
  });
  parser.resume();

  let column: number | undefined;
  const take = (): DocumentChunk => {
    const chunk: DocumentChunk = { documents: [], rejections: [] };
    for (const row of rows.splice(0)) {
      const line = ++stream.lines;
      if (column === undefined) {
        const names = row.map((name) => Buffer.from(name).toString("utf8"));
        column = names.indexOf(textField);
        if (column >= 0) continue;
        const there = names.slice(0, 8).join(", ");
        const detail = `the header has no column ${textField}; --text-field names another: ${there}`;
        fault = new StreamFault("missing-text", detail);
        break;
      }
      const field = row[column];
      if (field === undefined) {
        chunk.rejections.push({ cause: "missing-text", line, detail: `the row has ${row.length} columns` });
      } else if (field.length === 0) {
        chunk.rejections.push({ cause: "empty-text", line, detail: `${textField} is empty` });
      } else {
        const text = checkText(Buffer.from(field));
        if (text instanceof Uint8Array) chunk.documents.push({ text, line });
        else chunk.rejections.push({ ...text, line });
      }
    }
    clock?.lap("extract");
    return chunk;
  };
  for await (const piece of stream.pieces) {
    // What follows a fault is read for the file's hash alone.
    if (fault) continue;
    // The parser keeps what it is given; the piece's memory is used again.
    parser.write(Buffer.from(piece));
    yield take();
  }
  if (fault) parser.destroy();
  else parser.end();
  await closed;
  if (column === undefined || column >= 0) yield take();
  if (fault) throw fault;
}
