import { findLanguage } from "../shards/languages.js";
import type { Shard } from "../shards/shard.js";

/** Compressed bytes for each of mT5's tokens: the public copy has 9.7 TB with `und`, which is a few per cent of it. */
const publishedBytesPerToken = 1.5;

/** A shard of which nothing is known: mC4 has 9.7 TB in 59,410 shards, `und` included. */
export const typicalShardBytes = 163e6;

/** Mean size of mC4's shards of a language and split by what was published of them; undefined for other splittings. */
export function publishedSize({ language, split, count }: Shard): number | undefined {
  const task = findLanguage(language);
  if (!task || count !== (split === "train" ? task.trainShards : task.validationShards)) return undefined;
  const pages = split === "train" ? 1 : task.validationPages / task.trainPages;
  return (task.tokensBillions * 1e9 * publishedBytesPerToken * pages) / count;
}

/** Compressed bytes of a shard, by what is known of it or was published. */
export function expectedBytes(shard: Shard): number {
  return shard.bytes || publishedSize(shard) || typicalShardBytes;
}
