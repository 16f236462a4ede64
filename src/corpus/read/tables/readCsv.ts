import { messageOf } from "../../../base/errors.js";
import type { DocumentChunk, ShardStream } from "../document.js";
import type { Format } from "../format.js";
import { checkText, isFault, type TextFault } from "../parseText.js";
import { StreamFault } from "../readCompressed.js";

/**
 * A field so many times as long as the longest text is no text but what follows a quote that is never closed. What is shorter is set aside
 * alone; the parser cannot go on after a field that is longer than what it is allowed to hold.
 */
const openQuoteFactor = 16;

/**
 * The text column of a table with a header line (RFC 4180; tab-separated where the format is `tsv`). A document's line is the number of its row, the
 * header being 1: the line of the file, unless texts hold newlines.
 */
export async function* readCsv(stream: ShardStream, format: Format): AsyncGenerator<DocumentChunk, void> {
  const { textField, targetsField, maxLineBytes, clock } = stream;
  const fields = targetsField === undefined ? [textField] : [textField, targetsField];
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
    max_record_size: openQuoteFactor * maxLineBytes,
    // Taken at once: those before an error would be lost in the parser's queue.
    on_record: (row) => {
      rows.push(row);
      return null;
    },
  });
  const closed = new Promise((resolve) => parser.once("close", resolve));
  parser.on("error", (error) => {
    // The parser quotes the field, byte by byte.
    const why = messageOf(error)
      .replace(/, value is .*/s, "; a field that holds quotes must stand in quotes, its own doubled")
      .replace(/\p{Cc}/gu, " ");
    fault ??= new StreamFault("invalid-csv", `the rest of the table cannot be read (${why})`);
  });
  parser.resume();

  let columns: number[] | undefined;
  const take = (): DocumentChunk => {
    const chunk: DocumentChunk = { documents: [], rejections: [] };
    for (const row of rows.splice(0)) {
      const line = ++stream.lines;
      if (columns === undefined) {
        const names = row.map((name) => Buffer.from(name).toString("utf8"));
        columns = fields.map((field) => names.indexOf(field));
        const absent = columns.indexOf(-1);
        if (absent < 0) continue;
        const there = names.slice(0, 8).join(", ");
        const flag = targetsField === undefined ? "--text-field" : ["--inputs-field", "--targets-field"][absent];
        const detail = `the header has no column ${fields[absent]}; ${flag} names another: ${there}`;
        fault = new StreamFault("missing-text", detail);
        break;
      }
      const texts = columns.map((column, i) => textOfCell(row, column, fields[i], maxLineBytes));
      const wrong = texts.find(isFault);
      const [text, targets] = texts as Uint8Array[];
      if (wrong) chunk.rejections.push({ ...wrong, line });
      else chunk.documents.push(targets ? { text, targets, line } : { text, line });
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
  if (!columns?.includes(-1)) yield take();
  if (fault) throw fault;
}

function textOfCell(row: string[], column: number, field: string, maxLineBytes: number): Uint8Array | TextFault {
  const cell = row[column];
  if (cell === undefined) return { cause: "missing-text", detail: `the row has ${row.length} columns` };
  if (cell.length === 0) return { cause: "empty-text", detail: `${field} is empty` };
  if (cell.length > maxLineBytes) {
    return { cause: "line-too-long", detail: `the text has ${cell.length} bytes, the limit is ${maxLineBytes}` };
  }
  return checkText(Buffer.from(cell));
}
