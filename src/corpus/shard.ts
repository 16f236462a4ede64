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
  /** Where it is read from. */
  path: string;
  /** Compressed size. */
  bytes: number;
}
