/** mC4's two splits. */
export const mc4Splits = ["train", "validation"] as const;
/** Splits of a dataset; text-to-text pairs may have one to test on. */
export const splits = [...mc4Splits, "test"] as const;
export type Split = (typeof splits)[number];

/** Fields or columns of a text-to-text example. */
export interface PairFields {
  inputs: string;
  targets: string;
}

/** Bytes of JSON that a compressed byte holds: 2.8 for mC4 (27 TB in 9.7), 3.1 measured on a corpus of 101 languages. */
export const inflatedPerCompressedByte = 3;

/** One source file of a corpus, as of mC4: `c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz`. */
export interface Shard {
  /** File name, the shard's identity: `c4-af.tfrecord-00000-of-00002.json.gz`. */
  name: string;
  /** mC4's own code of the task, `iw`, `no`, `zh-Latn`, …, or a BCP 47 tag; of text-to-text pairs `TASK.CODE`. */
  language: string;
  split: Split;
  index: number;
  count: number;
  /** Where it comes from: a path, or an http(s) address. */
  path: string;
  /** Field or column of the text, where it is not `text`. */
  textField?: string;
  /** The shard holds text-to-text pairs, in these fields. */
  pairs?: PairFields;
  /** Of a file that both splits share: each so-manieth line or row is of the validation split. */
  holdOut?: { every: number; held: boolean };
  /** Compressed size; 0 where it is not known before the shard is read. */
  bytes: number;
  /** The copy to read of a shard that comes from a server. */
  copy?: { file: string; bytes: number; sha256: string; version?: string };
}
