import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sha256 } from "../src/base/hash.js";
import { verifyDataset } from "../src/dataset/check/verifyDataset.js";
import { readRowBatches } from "../src/dataset/read/readRowBatches.js";
import {
  filesBelow,
  line,
  model,
  mswitch,
  preprocess,
  snapshot,
  text,
  writeCorpus,
  writeShard,
} from "./preprocessRuns.js";

let folder: string;
let corpus: string;
let whole: string;
let dir: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mswitch-verify-"));
  corpus = join(folder, "corpus");
  whole = join(folder, "whole");
  await writeCorpus(corpus, ["af", "am"], { shards: 2, documents: 12, words: 30 });
  const bad = ['{"text": 1}', line(text(1, 20)), "{", line("")];
  await writeShard(corpus, ["zu", "train", 0, 1], bad);
  expect((await mend(whole)).code).toBe(3);
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  dir = await mkdtemp(join(folder, "damaged-"));
  await cp(whole, dir, { recursive: true });
});

const mend = (out: string, ...more: string[]) =>
  preprocess(["--source", corpus, "--vocab", model, "--out", out, "--workers", "1", ...more]);

/** Changes the JSON in one of the dataset's files. */
async function edit(name: string, change: (value: Record<string, unknown>) => unknown): Promise<void> {
  const path = join(dir, name);
  const value = JSON.parse(await readFile(path, "utf8"));
  change(value);
  await writeFile(path, JSON.stringify(value));
}

const record = ".records/af/train-00001-of-00002.json";
const tokens = "af/train-00001-of-00002.arrow";

test("a dataset as preprocess leaves it is whole, and every rejected line has its place and cause", async () => {
  const summary = await verifyDataset(whole);
  expect(summary.faults).toEqual([]);
  expect(summary).toMatchObject({ whole: true, shards: 7, documents: 6 * 12 + 1 });
  const manifest = JSON.parse(await readFile(join(whole, "dataset.json"), "utf8"));
  expect(summary.tokens).toBe(
    manifest.shards.reduce((sum: number, shard: { tokens: number }) => sum + shard.tokens, 0),
  );

  const quarantine = (await readFile(join(whole, "quarantine.jsonl"), "utf8")).trim().split("\n");
  expect(quarantine.map((rejected) => JSON.parse(rejected))).toEqual(
    [
      [1, "text-not-string"],
      [3, "invalid-json"],
      [4, "empty-text"],
    ].map(([number, cause]) => ({
      file: join(corpus, "c4-zu.tfrecord-00000-of-00001.json.gz"),
      line: number,
      cause,
      detail: expect.stringMatching(/.{5,}/),
    })),
  );
});

describe("verifyDataset names", () => {
  test.each<[string, () => Promise<unknown>, string, RegExp]>([
    ["an absent manifest", () => rm(join(dir, "dataset.json")), "dataset.json", /no such file/],
    ["a cut manifest", () => truncate(join(dir, "dataset.json"), 80), "dataset.json", /not JSON/],
    [
      "a wrong total",
      () => edit("dataset.json", (m) => ((m.languages as { af: { train: { tokens: number } } }).af.train.tokens += 1)),
      "dataset.json",
      /under languages\.af/,
    ],
    [
      "a wrong count of rejections",
      () => edit("dataset.json", (m) => Object.assign(m, { rejected: {} })),
      "dataset.json",
      /nothing under rejected\.empty-text|rejected\.empty-text/,
    ],
    [
      "a shard listed twice",
      () => edit("dataset.json", (m) => (m.shards as unknown[]).push((m.shards as unknown[])[0])),
      "dataset.json",
      /twice/,
    ],
    [
      "shards out of order",
      () => edit("dataset.json", (m) => (m.shards as unknown[]).reverse()),
      "dataset.json",
      /another order/,
    ],
    [
      "a shard left out",
      () => edit("dataset.json", (m) => (m.shards as unknown[]).pop()),
      "dataset.json",
      /not list zu/,
    ],
    ["an absent vocabulary", () => rm(join(dir, "vocabulary.model")), "vocabulary.model", /no such file/],
    ["a cut vocabulary", () => truncate(join(dir, "vocabulary.model"), 9000), "vocabulary.model", /cannot be used/],
    ["an absent token file", () => rm(join(dir, tokens)), tokens, /absent/],
    ["a cut token file", () => truncate(join(dir, tokens), 300), tokens, /has 300 bytes/],
    ["an absent record", () => rm(join(dir, record)), record, /absent/],
    ["a record that is not JSON", () => truncate(join(dir, record), 30), record, /cannot be read/],
    [
      "a record with another count",
      () => edit(record, (r) => Object.assign(r, { documents: 5 })),
      record,
      /says documents 5, dataset.json says 12/,
    ],
    [
      "a record with other bytes of text",
      () => edit(record, (r) => Object.assign(r, { textBytes: 5 })),
      tokens,
      /bytes of text, 5 should be there/,
    ],
    [
      "a record of another shard",
      () => cp(join(dir, record), join(dir, ".records/am/x.json")),
      ".records/am/x.json",
      /another/,
    ],
    [
      "a token file that nothing lists",
      () => cp(join(dir, tokens), join(dir, "af/x.arrow")),
      "af/x.arrow",
      /not listed/,
    ],
    ["an absent quarantine file", () => rm(join(dir, "quarantine.jsonl")), "quarantine.jsonl", /absent/],
    ["another quarantine file", () => writeFile(join(dir, "quarantine.jsonl"), ""), "quarantine.jsonl", /set aside/],
  ])("%s, and what to do", async (_, damage, file, message) => {
    await damage();
    const { whole: sound, faults } = await verifyDataset(dir);
    expect(sound).toBe(false);
    expect(faults.map(({ file: one }) => one)).toContain(file);
    const named = faults.filter((fault) => fault.file === file);
    expect(named.map(({ fault }) => fault).join()).toMatch(message);
    for (const { hint } of faults) expect(hint).toMatch(/mswitch preprocess/);
  });

  test("rows that cannot be, although every hash agrees", async () => {
    // What a faulty writer would leave: the token file is changed and both hashes with it.
    const disguise = async (change: (bytes: Buffer, ids: Buffer) => void): Promise<string> => {
      await cp(join(whole, tokens), join(dir, tokens));
      const batches = readRowBatches(join(dir, tokens), "uint16");
      const batch = (await batches.next()).value!;
      await batches.return();
      const bytes = await readFile(join(dir, tokens));
      change(bytes, Buffer.from(batch.tokens.buffer));
      await writeFile(join(dir, tokens), bytes);
      const hash = sha256(bytes);
      await edit(record, (r) => Object.assign(r.output as object, { sha256: hash }));
      await edit("dataset.json", (m) => {
        const shards = m.shards as { file: string; sha256: string }[];
        shards.find(({ file }) => file === tokens)!.sha256 = hash;
      });
      const { faults } = await verifyDataset(dir);
      expect(faults.map(({ file }) => file)).toEqual([tokens]);
      return faults[0].fault;
    };
    expect(await disguise((bytes, ids) => bytes.writeUInt16LE(65_000, bytes.indexOf(ids) + 20))).toMatch(
      /holds the id 65000 \(token 10\), the vocabulary has 6000 pieces/,
    );
    const lines = Buffer.from(Uint32Array.from({ length: 12 }, (_, i) => i + 1).buffer);
    expect(await disguise((bytes) => bytes.writeUInt32LE(9, bytes.indexOf(lines) + 40))).toMatch(
      /line 9 .* after line 10/,
    );
  });

  test("a flipped bit wherever it is", async () => {
    const files = filesBelow(whole).filter((name) => !name.endsWith(".tmp"));
    const place = fc.tuple(fc.constantFrom(...files), fc.double({ min: 0, max: 0.999_999, noNaN: true }), fc.nat(7));
    await fc.assert(
      fc.asyncProperty(place, async ([name, where, bit]) => {
        const bytes = await readFile(join(whole, name));
        const changed = Buffer.from(bytes);
        changed[Math.floor(where * bytes.length)] ^= 1 << bit;
        // A record's source and rejected details describe what is no part of the dataset; white space says nothing.
        fc.pre(!name.endsWith(".json") || !sameMeaning(bytes, changed));
        await writeFile(join(dir, name), changed);
        const { whole: sound } = await verifyDataset(dir);
        await writeFile(join(dir, name), bytes);
        expect(sound).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});

/** Whether two texts of JSON differ in nothing that another file of the dataset says too. */
function sameMeaning(a: Buffer, b: Buffer): boolean {
  const meaning = (text: Buffer): string => {
    try {
      const { source: _, options: _o, ...rest } = JSON.parse(text.toString());
      return JSON.stringify(rest);
    } catch {
      return "not JSON";
    }
  };
  return meaning(a) === meaning(b);
}

test("the hints mend it, to the byte", async () => {
  await truncate(join(dir, tokens), 300);
  await rm(join(dir, "am/validation-00000-of-00001.arrow"));
  await rm(join(dir, ".records/zu/train-00000-of-00001.json"));
  await rename(join(dir, "quarantine.jsonl"), join(dir, "dataset.json"));
  await edit(".records/am/train-00000-of-00002.json", (r) => Object.assign(r, { tokens: 1 }));
  await rm(join(dir, ".records/am/train-00000-of-00002.json"));
  expect((await verifyDataset(dir)).whole).toBe(false);
  expect((await mend(dir, "--verify")).code).toBe(3);
  expect((await verifyDataset(dir)).faults).toEqual([]);
  expect(snapshot(dir)).toEqual(snapshot(whole));
});

test("the command prints each fault and ends with 1, or with 0 where there is none", async () => {
  const good = await mswitch(["dataset", "verify", whole]);
  expect(good).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(": whole; 7 token files are good, with 73 doc"),
  });
  await truncate(join(dir, tokens), 300);
  const bad = await mswitch(["dataset", "verify", dir]);
  expect(bad.code).toBe(1);
  expect(bad.stdout).toContain(`${tokens} has 300 bytes`);
  expect(bad.stdout).toContain("try: run the same `mswitch preprocess` again with --verify");
  const json = await mswitch(["dataset", "verify", dir, "--json"]);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ whole: false, faults: [{ file: tokens }] });
});

test("a folder that is no dataset is wrong use", async () => {
  await mkdir(join(dir, "empty"));
  await expect(verifyDataset(join(dir, "empty"))).rejects.toMatchObject({ exitCode: 2 });
});
