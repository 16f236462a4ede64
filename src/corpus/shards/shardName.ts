import type { Shard, Split } from "./shard.js";

/** What a shard's file name says. */
export interface ShardIdentity extends Pick<Shard, "name" | "language" | "split" | "index" | "count"> {
  /** The numbers of mC4 3.1.0, which say which shards of the first edition a file is made of; `index` and `count` are then still to be given. */
  parts?: number[];
}

/** A shard and where it is; its size where a listing gives it. */
export type FoundShard = ShardIdentity & Omit<Shard, "bytes"> & { bytes?: number };

const pattern =
  /^c4-(?<language>.+?)(?<validation>-validation)?\.tfrecord-(?<index>\d{5,})-of-(?<count>\d{5,})\.jsonl?(?:\.gz|\.zst)?$/;

/** Names of mC4 3.1.0: `c4-af.00000-00001-00002.json.gz`, `c4-af-validation.00000.json.gz`. */
const pattern310 =
  /^c4-(?<language>.+?)(?<validation>-validation)?\.(?<parts>\d{5}(?:-\d{5})*)\.jsonl?(?:\.gz|\.zst)?$/;

/** Reads a file name of mC4, ending in `.json` or `.jsonl` and perhaps `.gz` or `.zst`; undefined where it is none. The language is taken as it stands, known or not. */
export function parseShardName(name: string): ShardIdentity | undefined {
  const groups = (pattern.exec(name) ?? pattern310.exec(name))?.groups;
  if (!groups) return undefined;
  const { language, validation, index, count, parts } = groups;
  const split = validation ? "validation" : "train";
  if (parts === undefined) return { name, language, split, index: Number(index), count: Number(count) };
  return { name, language, split, index: 0, count: 0, parts: parts.split("-").map(Number) };
}

/** The file name of a shard as mC4 writes it. */
export function formatShardName(language: string, split: Split, index: number, count: number): string {
  const number = (value: number): string => String(value).padStart(5, "0");
  return `c4-${language}${split === "validation" ? "-validation" : ""}.tfrecord-${number(index)}-of-${number(count)}.json.gz`;
}
