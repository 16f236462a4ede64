import { gzipSync } from "node:zlib";
import type { RandomStream } from "../src/base/random.js";

/** A damaged shard, and what may be expected of it. */
export interface Mutant {
  kind: string;
  /** How its file name ends. */
  ending: ".json.gz" | ".json.zst" | ".jsonl";
  bytes: Uint8Array;
  /**
   * `lines`: every line stands or falls by itself, and which do is known. `prefix`: the documents before the damage are kept as they
   * were. `marked`: what was damaged is found at the latest by a checksum, unless it was of no account.
   */
  expect: { how: "lines"; bad: Set<number> } | { how: "prefix" } | { how: "marked" };
}

/** The lines of the sound shard that all mutants are made of, as they are compressed. */
export interface SoundShard {
  lines: string[];
  gzip: Uint8Array;
  /** With a checksum; undefined where the machine cannot make it. */
  zstd: Uint8Array | undefined;
}

/** Longer lines are to be set aside. */
export const mutantLineLimit = 100_000;

/** Makes a mutant of any kind. */
export function mutateShard(sound: SoundShard, random: RandomStream): Mutant {
  const pick = <T>(choices: readonly T[]): T => choices[random.integer(choices.length)];
  const kinds = sound.zstd ? [...gzipKinds, ...lineKinds, ...zstdKinds] : [...gzipKinds, ...lineKinds];
  return pick(kinds)(sound, random);
}

type Make = (sound: SoundShard, random: RandomStream) => Mutant;

const truncated = (kind: string, ending: Mutant["ending"], bytes: Uint8Array, random: RandomStream): Mutant => {
  return { kind, ending, bytes: bytes.subarray(0, random.integer(bytes.length)), expect: { how: "prefix" } };
};
const flipped = (kind: string, ending: Mutant["ending"], whole: Uint8Array, random: RandomStream): Mutant => {
  const bytes = Uint8Array.from(whole);
  for (let i = 0; i <= random.integer(8); i++) bytes[random.integer(bytes.length)] ^= 1 << random.integer(8);
  return { kind, ending, bytes, expect: { how: "marked" } };
};
const overwritten = (kind: string, ending: Mutant["ending"], whole: Uint8Array, random: RandomStream): Mutant => {
  const bytes = Uint8Array.from(whole);
  const start = random.integer(bytes.length);
  const fill = random.integer(3);
  for (let i = start; i < Math.min(bytes.length, start + 1 + random.integer(300)); i++) {
    bytes[i] = fill === 0 ? 0 : fill === 1 ? 0xff : random.integer(256);
  }
  return { kind, ending, bytes, expect: { how: "marked" } };
};

const gzipKinds: Make[] = [
  ({ gzip }, random) => truncated("gzip cut", ".json.gz", gzip, random),
  ({ gzip }, random) => flipped("gzip bits flipped", ".json.gz", gzip, random),
  ({ gzip }, random) => overwritten("gzip overwritten", ".json.gz", gzip, random),
  ({ gzip }, random) => {
    const bytes = Buffer.concat([gzip, gzip.subarray(0, random.integer(gzip.length))]);
    return { kind: "second gzip member cut", ending: ".json.gz", bytes, expect: { how: "prefix" } };
  },
  (_, random) => {
    const content = random.integer(2) === 0 ? Buffer.alloc(20e6) : Buffer.alloc(2e5, "\n{}");
    const bytes = gzipSync(content, { level: 1 });
    return { kind: "gzip bomb", ending: ".json.gz", bytes, expect: { how: "prefix" } };
  },
];

const zstdKinds: Make[] = [
  ({ zstd }, random) => truncated("zstd cut", ".json.zst", zstd!, random),
  ({ zstd }, random) => flipped("zstd bits flipped", ".json.zst", zstd!, random),
  ({ zstd }, random) => overwritten("zstd overwritten", ".json.zst", zstd!, random),
];

/** Makes one line bad, without a newline. */
const spoil: ((line: Buffer, random: RandomStream) => Buffer)[] = [
  // Wrong JSON.
  (line, random) => line.subarray(0, random.integer(line.length - 1) + 1),
  (line) => Buffer.concat([line, Buffer.from("}")]),
  (line) => Buffer.from(line.toString().replace('{"text"', '{"texts"')),
  () => Buffer.from('{"text": 5}'),
  () => Buffer.from('{"text":"\\x"}'),
  () => Buffer.from('{"text":"half a pair \\ud800"}'),
  () => Buffer.from("[".repeat(50_000)),
  // Wrong UTF-8.
  (line, random) => {
    const bytes = Buffer.from(line);
    bytes[random.integer(bytes.length)] = 0xc0;
    return bytes;
  },
  // NULs.
  (line, random) => {
    const bytes = Buffer.from(line);
    bytes[random.integer(bytes.length)] = 0;
    return bytes;
  },
  // Giants.
  (_, random) => Buffer.alloc(mutantLineLimit + 1 + random.integer(2_000_000), "x"),
];

const lineKinds: Make[] = ([".json.gz", ".jsonl"] as const).map((ending) => ({ lines }, random) => {
  const bad = new Set<number>();
  const parts = lines.map((line, i) => {
    if (random.integer(4) !== 0 && i > 0) return Buffer.from(line);
    bad.add(i + 1);
    return spoil[random.integer(spoil.length)](Buffer.from(line), random);
  });
  const plain = Buffer.concat(parts.flatMap((part) => [part, Buffer.from("\n")]));
  const bytes = ending === ".jsonl" ? plain : gzipSync(plain, { level: 1 });
  return { kind: `bad lines, ${ending}`, ending, bytes, expect: { how: "lines", bad } };
});
