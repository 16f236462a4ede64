import type { Shard, Split } from "./shard.js";

/** What a shard's file name says. */
export type ShardIdentity = Pick<Shard, "name" | "language" | "split" | "index" | "count">;

const pattern =
  /^c4-(?<language>.+?)(?<validation>-validation)?\.tfrecord-(?<index>\d{5,})-of-(?<count>\d{5,})\.jsonl?(?:\.gz|\.zst)?$/;

/** Reads a file name of mC4, ending in `.json` or `.jsonl` and perhaps `.gz` or `.zst`; undefined where it is none. The language is taken as it stands, known or not. */
export function parseShardName(name: string): ShardIdentity | undefined {
  const groups = pattern.exec(name)?.groups;
  if (!groups) return undefined;
  return {
    name,
    language: groups.language,
    split: groups.validation ? "validation" : "train",
    index: Number(groups.index),
    count: Number(groups.count),
  };
}

/** The file name of a shard as mC4 writes it. */
export function formatShardName(language: string, split: Split, index: number, count: number): string {
  const number = (value: number): string => String(value).padStart(5, "0");
  return `c4-${language}${split === "validation" ? "-validation" : ""}.tfrecord-${number(index)}-of-${number(count)}.json.gz`;
}
