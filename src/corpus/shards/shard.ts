/** mC4's two splits. */
export type Split = "train" | "validation";

/** One source file of an mC4-shaped corpus: `c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz`. */
export interface Shard {
  /** File name, the shard's identity: `c4-af.tfrecord-00000-of-00002.json.gz`. */
  name: string;
  /** mC4's own code of the task: `iw`, `no`, `zh-Latn`, … */
  language: string;
  split: Split;
  index: number;
  count: number;
  /** Where it comes from: a path, or an http(s) address. */
  path: string;
  /** Compressed size; 0 where it is not known before the shard is read. */
  bytes: number;
  /** The copy to read of a shard that comes from a server. */
  copy?: { file: string; bytes: number; sha256: string; version?: string };
}
