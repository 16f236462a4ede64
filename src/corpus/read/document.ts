/** A document of a shard. */
export interface Document {
  /** The `text` field in UTF-8, unescaped, never empty. Valid until the next chunk of documents is asked for. */
  text: Uint8Array;
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
