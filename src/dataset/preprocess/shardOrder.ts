import { isRemote } from "../../corpus/remote/remoteFile.js";
import type { Shard } from "../../corpus/shards/shard.js";

/** Weight in the bars of a shard whose size is not known: mC4 has 9.7 TB in 59,410 shards, `und` included. */
const typicalShardBytes = 163e6;

/** Compressed bytes of a shard, as far as they are known. */
export function weightOf({ path, bytes }: Shard): number {
  return bytes === 0 && isRemote(path) ? typicalShardBytes : bytes;
}

/** Weight of all shards of each language. */
export function weightsOf(shards: Shard[]): Map<string, number> {
  const weights = new Map<string, number>();
  for (const shard of shards) weights.set(shard.language, (weights.get(shard.language) ?? 0) + weightOf(shard));
  return weights;
}

/** Language by language, the largest first, and so their shards. */
export function inOrder(shards: Shard[]): Shard[] {
  const weights = weightsOf(shards);
  const ofLanguage = ({ language }: Shard): number => weights.get(language)!;
  return shards.toSorted(
    (a, b) => ofLanguage(b) - ofLanguage(a) || a.language.localeCompare(b.language) || weightOf(b) - weightOf(a),
  );
}

/**
 * Shards that wait for a worker. A worker stays with a language while there is some of it, and one that has to begin another takes the
 * largest that no other works on: encoders remember words. The small shards at the end even out which worker ends last.
 */
export class ShardQueue {
  /** By language; the largest shard last. */
  private readonly waiting = new Map<string, Shard[]>();
  private readonly weights = new Map<string, number>();

  add(shard: Shard): void {
    const { language } = shard;
    const shards = this.waiting.get(language) ?? [];
    this.waiting.set(language, shards);
    const weight = weightOf(shard);
    let place = 0;
    for (let end = shards.length; place < end; ) {
      const middle = (place + end) >> 1;
      if (weightOf(shards[middle]) > weight) end = middle;
      else place = middle + 1;
    }
    shards.splice(place, 0, shard);
    this.weights.set(language, (this.weights.get(language) ?? 0) + weightOf(shard));
  }

  /**
   * The shard to work on next, which waits no longer; undefined where none waits.
   *
   * @param known languages that idle workers worked on last
   * @param busy languages that other workers work on
   */
  take(known: readonly string[], busy: readonly string[]): Shard | undefined {
    const languages = [...this.waiting.keys()];
    const choices = [
      languages.filter((language) => known.includes(language)),
      languages.filter((language) => !busy.includes(language)),
      languages,
    ];
    const choice = choices.find(({ length }) => length > 0);
    if (!choice) return undefined;
    const language = choice.reduce((a, b) => (this.weights.get(b)! > this.weights.get(a)! ? b : a));
    const shards = this.waiting.get(language)!;
    const shard = shards.pop()!;
    if (shards.length === 0) this.waiting.delete(language);
    this.weights.set(language, this.weights.get(language)! - weightOf(shard));
    return shard;
  }
}
