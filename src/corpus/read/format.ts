/** What a shard's documents are: lines of JSON, lines of text, rows of a table. */
export type Format = "jsonl" | "text" | "csv" | "tsv" | "parquet";

/** Field or column that holds the text where none is named: mC4's. */
export const defaultTextField = "text";

const formats: Record<string, Format> = {
  json: "jsonl",
  jsonl: "jsonl",
  ndjson: "jsonl",
  txt: "text",
  text: "text",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

/** The format that a file's name says, undefined where its ending is none of those that are read. Parquet compresses its own pages. */
export function formatOf(name: string): Format | undefined {
  const match = /\.([a-z]+)(\.gz|\.zst)?$/.exec(name);
  const format = match ? formats[match[1]] : undefined;
  return format === "parquet" && match?.[2] ? undefined : format;
}
