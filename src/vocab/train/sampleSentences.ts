import type { FileHandle } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { randomStream } from "../../base/random.js";
import type { DocumentChunk, Rejection } from "../../corpus/read/document.js";
import type { Shard } from "../../corpus/shards/shard.js";

/** SentencePiece's trainer passes over longer lines (its `max_sentence_length`), so they are cut. */
export const maxSentenceBytes = 4192;

/** What a language has to sample from. */
export interface LanguageCount {
  language: string;
  documents: number;
  sentences: number;
  /** Lines of its shards, and rests of shards, that could not be read. */
  rejected: number;
}

/**
 * The lines of a text that the trainer can take: no blank ones, none that holds a NUL or a U+2581 (which it refuses), long ones
 * cut at the last space that keeps them short enough, or in the middle of a word where there is none.
 */
export function sentencesOf(text: Uint8Array): string[] {
  const sentences: string[] = [];
  const lines = Buffer.from(text.buffer, text.byteOffset, text.length)
    .toString("utf8")
    .split(/[\r\n\u2028\u2029]+/);
  for (const line of lines) {
    if (line.includes("\0") || line.includes("\u2581")) continue;
    let rest = line.trim();
    // A UTF-16 unit takes at most three bytes, so a piece of a third of the limit is short enough.
    const limit = Math.floor(maxSentenceBytes / 3);
    while (rest.length > limit) {
      const space = rest.lastIndexOf(" ", limit);
      let cut = space > 0 ? space : limit;
      if (/[\ud800-\udbff]/.test(rest[cut - 1])) cut--;
      sentences.push(rest.slice(0, cut));
      rest = rest.slice(cut).trimStart();
    }
    if (rest !== "") sentences.push(rest);
  }
  return sentences;
}

/** Reads the shards of a sample, from wherever they come; a shard that cannot be had gives nothing and is told of. */
export type ReadSample = (shard: Shard) => AsyncIterable<DocumentChunk>;

/** Counts documents and sentences of each language, in the order of the shards. */
export async function countSentences(
  shards: Shard[],
  read: ReadSample,
  onRejected: (shard: Shard, rejections: Rejection[]) => void,
): Promise<LanguageCount[]> {
  const counts = new Map<string, LanguageCount>();
  for (const shard of shards) {
    const { language } = shard;
    const count = counts.get(language) ?? { language, documents: 0, sentences: 0, rejected: 0 };
    counts.set(language, count);
    const rejected: Rejection[] = [];
    for await (const { documents, rejections } of read(shard)) {
      await nextTurn();
      count.rejected += rejections.length;
      rejected.push(...rejections.slice(0, 1000 - rejected.length));
      count.documents += documents.length;
      for (const { text } of documents) count.sentences += sentencesOf(text).length;
    }
    if (rejected.length > 0) onRejected(shard, rejected);
  }
  return [...counts.values()];
}

/**
 * The shards to sample from, where the corpus is larger than what may be read: of each language as many bytes as its share ∝ bytes^alpha
 * of the limit, but at least one shard; which ones is chosen at random, the same for the same seed.
 *
 * @param sizeOf compressed bytes of a shard
 */
export function chooseShards(
  shards: Shard[],
  { maxBytes, alpha, seed }: { maxBytes: number; alpha: number; seed: number },
  sizeOf: (shard: Shard) => number,
): Shard[] {
  const byLanguage = new Map<string, Shard[]>();
  for (const shard of shards) byLanguage.set(shard.language, [...(byLanguage.get(shard.language) ?? []), shard]);
  const bytesOf = (some: Shard[]): number => some.reduce((sum, shard) => sum + sizeOf(shard), 0);
  const counts = [...byLanguage].map(([language, some]) => {
    const bytes = bytesOf(some);
    return { language, documents: bytes, sentences: bytes, rejected: 0 };
  });
  if (bytesOf(shards) <= maxBytes) return shards;
  const quotas = sentenceQuotas(counts, alpha, maxBytes);
  const chosen = new Set<Shard>();
  for (const [language, some] of byLanguage) {
    const random = randomStream(seed, "vocabulary shards", language);
    const waiting = [...some];
    let left = quotas.get(language) ?? 0;
    while (waiting.length > 0) {
      const [shard] = waiting.splice(random.integer(waiting.length), 1);
      const size = sizeOf(shard);
      if (size > left && waiting.length + 1 < some.length) break;
      chosen.add(shard);
      left -= size;
    }
  }
  return shards.filter((shard) => chosen.has(shard));
}

/**
 * How many sentences to take of each language: shares p ∝ |documents|^alpha (mT5, section 3.2; alpha 1/3.3), at most `max` in all.
 * What a language cannot give is shared among the others, by the same rule, until nothing is left to give.
 */
export function sentenceQuotas(counts: LanguageCount[], alpha: number, max: number): Map<string, number> {
  const quotas = new Map(counts.map(({ language }) => [language, 0]));
  let open = counts.filter(({ sentences }) => sentences > 0);
  let left = max;
  while (open.length > 0) {
    const weights = open.map(({ documents }) => documents ** alpha);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const shares = weights.map((weight) => (left * weight) / total);
    const exhausted = open.filter(({ sentences }, i) => sentences <= shares[i]);
    if (exhausted.length === 0) {
      // Rounding the running sum, not each share, gives out exactly what is left.
      let sum = 0;
      open.forEach(({ language }, i) => {
        quotas.set(language, Math.round(sum + shares[i]) - Math.round(sum));
        sum += shares[i];
      });
      break;
    }
    for (const { language, sentences } of exhausted) {
      quotas.set(language, sentences);
      left -= sentences;
    }
    open = open.filter((count) => !exhausted.includes(count));
  }
  return quotas;
}

/**
 * Writes the sampled sentences, one a line, language by language in the order of the shards. Exactly the quota of each is taken,
 * every choice equally likely and the same for the same seed (selection sampling: Knuth, The Art of Computer Programming, 3.4.2,
 * algorithm S).
 */
export async function writeSentences(
  file: FileHandle,
  shards: Shard[],
  read: ReadSample,
  { counts, quotas, seed }: { counts: LanguageCount[]; quotas: Map<string, number>; seed: number },
): Promise<void> {
  const states = new Map(
    counts.map(({ language, sentences }) => [
      language,
      {
        left: sentences,
        wanted: quotas.get(language) ?? 0,
        random: randomStream(seed, "vocabulary sentences", language),
      },
    ]),
  );
  for (const shard of shards) {
    const state = states.get(shard.language);
    if (!state) continue;
    for await (const { documents } of read(shard)) {
      await nextTurn();
      let lines = "";
      for (const { text } of documents) {
        for (const sentence of sentencesOf(text)) {
          if (state.random.float() * state.left < state.wanted) {
            lines += `${sentence}\n`;
            state.wanted--;
          }
          state.left--;
        }
      }
      await file.write(lines);
    }
  }
}
