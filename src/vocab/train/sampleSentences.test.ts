import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readShard } from "../../corpus/read/readShard.js";
import type { Shard } from "../../corpus/shards/shard.js";
import {
  chooseShards,
  countSentences,
  maxSentenceBytes,
  sentenceQuotas,
  sentencesOf,
  writeSentences,
} from "./sampleSentences.js";

function shardOf(language: string, documents: string[]): Shard {
  const name = `c4-${language}.tfrecord-00000-of-00001.json.gz`;
  const path = join(mkdtempSync(join(tmpdir(), "mswitch-")), name);
  const data = gzipSync(documents.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  writeFileSync(path, data);
  return { name, language, split: "train", index: 0, count: 1, path, bytes: data.length };
}

describe("sentencesOf", () => {
  it("gives the lines that SentencePiece's trainer takes", () => {
    expect(sentencesOf(Buffer.from(" a b \n\n\r\nc\u2028d\n \n▁e\nf\0g"))).toEqual(["a b", "c", "d"]);
  });

  it("cuts long lines, loses nothing but spaces, and splits no character", () => {
    const part = fc.oneof(fc.constantFrom("word ", "字", "😀", "ά"), fc.string({ unit: "grapheme", maxLength: 4 }));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), fc.integer({ min: 1, max: 300 }), (parts, times) => {
        const text = parts
          .join("")
          .repeat(times)
          .replace(/[\r\n\u2028\u2029\0▁]/gu, "");
        const sentences = sentencesOf(Buffer.from(text));
        for (const sentence of sentences) {
          expect(Buffer.byteLength(sentence)).toBeLessThanOrEqual(maxSentenceBytes);
          expect(sentence).not.toBe("");
          expect(Buffer.from(sentence).toString()).toBe(sentence);
        }
        expect(sentences.join("").replace(/\s/gu, "")).toBe(text.replace(/\s/gu, ""));
      }),
      { numRuns: 60 },
    );
  });
});

describe("sentenceQuotas", () => {
  const count = (language: string, documents: number, sentences: number) => ({
    language,
    documents,
    sentences,
    rejected: 0,
  });

  it("shares by documents to the power of alpha", () => {
    const counts = [count("a", 1000, 1e6), count("b", 1, 1e6)];
    expect([...sentenceQuotas(counts, 1 / 3, 1100).values()]).toEqual([1000, 100]);
    expect([...sentenceQuotas(counts, 0, 1000).values()]).toEqual([500, 500]);
    expect([...sentenceQuotas(counts, 1, 1001).values()]).toEqual([1000, 1]);
  });

  it("gives what a small language cannot use to the others", () => {
    const counts = [count("a", 10, 1e6), count("b", 10, 7), count("c", 10, 1e6), count("d", 0, 0)];
    expect(Object.fromEntries(sentenceQuotas(counts, 0.3, 107))).toEqual({ a: 50, b: 7, c: 50, d: 0 });
    expect(Object.fromEntries(sentenceQuotas(counts.slice(1, 2), 0.3, 107))).toEqual({ b: 7 });
  });
});

describe("writeSentences", () => {
  const shards = [
    shardOf(
      "af",
      Array.from({ length: 30 }, (_, i) => `een ${i}\ntwee ${i}`),
    ),
    shardOf("am", ["ሀ", "ለ\nሐ"]),
  ];
  const sample = async (seed: number): Promise<string> => {
    const counts = await countSentences(shards, readShard, () => undefined);
    expect(counts).toEqual([
      { language: "af", documents: 30, sentences: 60, rejected: 0 },
      { language: "am", documents: 2, sentences: 3, rejected: 0 },
    ]);
    const path = join(mkdtempSync(join(tmpdir(), "mswitch-")), "sentences.txt");
    const file = await open(path, "wx");
    const quotas = new Map([
      ["af", 20],
      ["am", 3],
    ]);
    await writeSentences(file, shards, readShard, { counts, quotas, seed });
    await file.close();
    return readFileSync(path, "utf8");
  };

  it("takes exactly the quotas, each sentence once, the same for the same seed", async () => {
    const text = await sample(1);
    const lines = text.trimEnd().split("\n");
    expect(lines.slice(20)).toEqual(["ሀ", "ለ", "ሐ"]);
    expect(new Set(lines.slice(0, 20)).size).toBe(20);
    expect(await sample(1)).toBe(text);
    expect(await sample(2)).not.toBe(text);
  });
});

describe("chooseShards", () => {
  const shard = (language: string, index: number, bytes: number): Shard => ({
    ...{ name: `${language} ${index}`, language, split: "train", index, count: 9, path: "", bytes },
  });
  const size = ({ bytes }: Shard): number => bytes;
  const shards = [...Array.from({ length: 50 }, (_, i) => shard("en", i, 10)), shard("af", 0, 3), shard("cy", 0, 900)];

  it("takes all where they are few", () => {
    expect(chooseShards(shards, { maxBytes: 2000, alpha: 0.3, seed: 1 }, size)).toEqual(shards);
  });

  it("keeps to the limit, but for one shard of each language, the same for the same seed", () => {
    const choose = (seed: number) => chooseShards(shards, { maxBytes: 200, alpha: 0.3, seed }, size);
    const bytes = (language: string) =>
      choose(1).reduce((sum, one) => sum + (one.language === language ? one.bytes : 0), 0);
    expect([bytes("af"), bytes("cy")]).toEqual([3, 900]);
    expect(bytes("en")).toBeGreaterThan(0);
    expect(bytes("en")).toBeLessThanOrEqual(100);
    expect(choose(1)).toEqual(choose(1));
    expect(choose(2)).not.toEqual(choose(1));
  });
});
