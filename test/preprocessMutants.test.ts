import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomStream } from "../src/base/random.js";
import { formatShardName } from "../src/corpus/shards/shardName.js";
import { type Mutant, mutantLineLimit, mutateShard, type SoundShard } from "./mutateShard.js";
import { line, model, preprocess, text, writeShard } from "./preprocessRuns.js";

/** `npm run soak` asks for more. */
const count = Number(process.env.MSWITCH_MUTANTS ?? 100);
/** Sound shards among them. */
const neighbours = 10;
const seed = Number(process.env.MSWITCH_SEED ?? 1);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-mutants-"));
});
afterAll(() => rm(dir, { recursive: true }));

/** What a token file holds, one string a row. */
function rowsOf(out: string, language: string, index: number, count: number): Map<number, string> {
  const number = (value: number): string => String(value).padStart(5, "0");
  const table = tableFromIPC(readFileSync(join(out, language, `train-${number(index)}-of-${number(count)}.arrow`)));
  return new Map(table.toArray().map((row) => [row.line, `${row.bytes}: ${[...row.tokens]}`]));
}

it(`of ${count} mutated shards nothing is lost but what is damaged, and all that is set aside is reported (seed ${seed})`, async () => {
  const random = randomStream(seed, "mutants");
  const lines = Array.from({ length: 40 }, (_, i) => line(text(i, 40 + i)));
  const content = Buffer.from(lines.map((one) => `${one}\n`).join(""));
  const zstd = spawnSync("zstd", ["-q", "-c", "--check"], { input: content });
  const sound: SoundShard = { lines, gzip: gzipSync(content), zstd: zstd.status === 0 ? zstd.stdout : undefined };
  const corpus = join(dir, "corpus");
  await mkdir(corpus);
  const mutants = new Map<string, Mutant>();
  for (let i = 0; i < count; i++) {
    const mutant = mutateShard(sound, random);
    const path = join(corpus, formatShardName("en", "train", i, count).replace(".json.gz", mutant.ending));
    mutants.set(path, mutant);
    await writeFile(path, mutant.bytes);
  }
  for (let i = 0; i < neighbours; i++) await writeShard(corpus, ["af", "train", i, neighbours], lines);

  const out = join(dir, "out");
  const args = ["--source", corpus, "--vocab", model, "--out", out, "--workers", "2", "--json"];
  const { code, stdout, stderr } = await preprocess([...args, "--max-line-bytes", String(mutantLineLimit)]);
  expect(code, stderr.slice(-2000)).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ failed: 0, tokenized: count + neighbours, complete: true });

  const whole = rowsOf(out, "af", 0, neighbours);
  expect([...whole.keys()]).toEqual(lines.map((_, i) => i + 1));
  for (let i = 1; i < neighbours; i++) expect(rowsOf(out, "af", i, neighbours)).toEqual(whole);

  const reported = new Map<string, Set<number>>();
  for (const one of readFileSync(join(out, "quarantine.jsonl"), "utf8").trimEnd().split("\n")) {
    const { file, line: at } = JSON.parse(one);
    reported.set(file, (reported.get(file) ?? new Set()).add(at));
  }
  let index = 0;
  const byKind: Record<string, { shards: number; "set aside": number; documents: number }> = {};
  for (const [path, { kind, expect: expected }] of mutants) {
    const rows = rowsOf(out, "en", index++, count);
    const bad = reported.get(path);
    byKind[kind] ??= { shards: 0, "set aside": 0, documents: 0 };
    byKind[kind].shards++;
    byKind[kind].documents += rows.size;
    if (bad) byKind[kind]["set aside"]++;
    const where = `${kind}: ${path}`;
    if (expected.how === "lines") {
      expect(bad, where).toEqual(expected.bad);
      expect(rows, where).toEqual(new Map([...whole].filter(([at]) => !expected.bad.has(at))));
    } else if (expected.how === "prefix") {
      expect(bad?.size, where).toBeGreaterThan(0);
      for (const [at, row] of rows) expect(row, where).toBe(whole.get(((at - 1) % lines.length) + 1));
      expect([...rows.keys()], where).toEqual([...rows.keys()].map((_, i) => i + 1));
    } else if (bad === undefined) {
      expect(rows, where).toEqual(whole);
    }
  }
  expect([...reported.keys()].filter((path) => !mutants.has(path))).toEqual([]);
  console.table(byKind);
}, 1_200_000);
