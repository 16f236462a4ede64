import type { StageClock } from "./stageClock.js";

/** A document of a shard. */
export interface Document {
  /** Its text in UTF-8, unescaped, never empty. Valid until the next chunk of documents is asked for. */
  text: Uint8Array;
  /** Of a text-to-text pair what `text` is to become, likewise. */
  targets?: Uint8Array;
  /** 1-based line of the shard. */
  line: number;
}

/** Why a piece of input was set aside. */
export type RejectionCause =
  | "not-gzip"
  | "truncated-gzip"
  | "corrupt-gzip"
  | "not-zstd"
  | "truncated-zstd"
  | "corrupt-zstd"
  | "zstd-window"
  | "git-lfs-pointer"
  | "html"
  | "compressed-twice"
  | "mislabelled"
  | "not-parquet"
  | "corrupt-parquet"
  | "invalid-csv"
  | "invalid-json"
  | "not-an-object"
  | "missing-text"
  | "text-not-string"
  | "empty-text"
  | "nul"
  | "lone-surrogate"
  | "invalid-utf8"
  | "line-too-long"
  | "unreadable";

/** A line (or the rest of a shard) that was set aside; its neighbours are kept. */
export interface Rejection {
  cause: RejectionCause;
  /** 1-based line of the shard at which the fault was met. */
  line: number;
  /** What exactly was wrong, in one sentence. */
  detail: string;
}

/** What is known of a shard once it has been read. */
export interface ShardSummary {
  /** SHA-256 of the compressed file, in hex: of all its bytes, but where a rejection says that it was unreadable. */
  sha256: string;
  /** Compressed bytes read. */
  bytes: number;
  /** Bytes of JSON or other text that came out of them. */
  inflatedBytes: number;
  /** Lines read to their end, blank and rejected ones included. */
  lines: number;
}

/**
 * Some documents and rejections of a shard, both in the order of lines. Chunks follow the order of the shard; a chunk's texts are valid
 * until the next one is asked for.
 */
export interface DocumentChunk {
  documents: Document[];
  rejections: Rejection[];
  /** On the last chunk, and only there. */
  summary?: ShardSummary;
}

/** The decompressed bytes of a shard and what its reader needs to know: `lines` is set by it. */
export interface ShardStream {
  path: string;
  pieces: AsyncIterable<Uint8Array>;
  maxLineBytes: number;
  textField: string;
  /** Of text-to-text pairs: the field of the targets; `textField` is then that of the inputs. */
  targetsField: string | undefined;
  clock: StageClock | undefined;
  /** Lines or rows read to their end. */
  lines: number;
}
