import { closeSync, openSync } from "node:fs";
import { cp, mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { temporaryName, writeFileAtomic } from "../../base/atomicFile.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import { batchBuffers, TokenFileWriter } from "../format/arrowWriter.js";
import { vocabularyFile, writeManifest } from "../format/buildManifest.js";
import type { ShardRecord } from "../format/manifest.js";
import { RecordIndex } from "../format/recordIndex.js";
import { commitShard, tokenFileName } from "../format/shardRecord.js";
import { tokenTypeFor } from "../format/tokenType.js";
import { openDataset } from "./openDataset.js";

const model = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));
const vocabulary = await loadVocabulary(model);

/** Documents' token ids by shard of `af` train; a shard without documents and a document without tokens are among them. */
const shards = [
  [[1, 2, 3], [], [4, 5]],
  [],
  [Array.from({ length: 70_000 }, (_, i) => i % vocabulary.size)],
  Array.from({ length: 70_000 }, (_, i) => (i % 2 ? [i % vocabulary.size] : [])),
];
const all = shards.flat(2);

async function writeShard(
  dir: string,
  language: string,
  split: "train" | "validation",
  index: number,
  count: number,
  documents: number[][],
) {
  const shard = { language, split, index, count };
  const file = tokenFileName(shard);
  const temporary = temporaryName(join(dir, file));
  await mkdir(join(dir, language), { recursive: true });
  const target = openSync(temporary, "wx");
  const writer = new TokenFileWriter(target, batchBuffers(tokenTypeFor(vocabulary.embeddingRows)), {});
  for (const [i, ids] of documents.entries()) {
    if (writer.add(Uint32Array.from(ids), i + 1, 10)) writer.flush();
  }
  const output = writer.finish();
  closeSync(target);
  const record: ShardRecord = {
    format: 1,
    source: { name: "a", path: "a", bytes: 1, sha256: "0".repeat(64) },
    ...shard,
    vocabulary: vocabulary.fingerprint,
    options: {},
    documents: documents.length,
    tokens: documents.flat().length,
    textBytes: documents.length * 10,
    rejected: {},
    rejections: [],
    output: { file, ...output },
  };
  await commitShard(dir, record, temporary);
}

let whole: string;
let dir: string;
beforeAll(async () => {
  whole = await mkdtemp(join(tmpdir(), "mswitch-dataset-"));
  for (const [i, documents] of shards.entries()) await writeShard(whole, "af", "train", i, shards.length, documents);
  await writeShard(whole, "zh-Latn", "train", 0, 1, [[7]]);
  await writeShard(whole, "zh", "validation", 0, 1, [[8, 9]]);
  await writeFileAtomic(join(whole, vocabularyFile), await readFile(model));
  await writeManifest(whole, vocabulary, await RecordIndex.open(whole));
});
afterAll(() => rm(whole, { recursive: true }));
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-dataset-"));
  await cp(whole, dir, { recursive: true });
  return () => rm(dir, { recursive: true });
});

describe("TokenRun.read", () => {
  it("gives the documents end to end wherever it starts and ends", async () => {
    const dataset = await openDataset(whole);
    const run = dataset.run("af", "train");
    expect(run.tokens).toBe(all.length);
    expect(run.documents).toBe(3 + 0 + 1 + 70_000);
    const whole_ = new Int32Array(all.length);
    run.read(0, whole_);
    expect(Buffer.from(whole_.buffer).equals(Buffer.from(Int32Array.from(all).buffer))).toBe(true);
    fc.assert(
      fc.property(fc.nat(all.length), fc.nat(700), (offset, length) => {
        const out = new Int32Array(Math.min(length, all.length - offset));
        run.read(offset, out);
        expect([...out]).toEqual(all.slice(offset, offset + out.length));
      }),
    );
    expect(() => run.read(all.length - 1, new Int32Array(2))).toThrow(RangeError);
    dataset.close();
  });

  it("names the file where it was cut or an id is none of the vocabulary, after opening", async () => {
    const dataset = await openDataset(dir);
    const path = join(dir, "af/train-00000-of-00004.arrow");
    const file = await open(path, "r+");
    const bytes = await readFile(path);
    await file.write(Buffer.from([0xff, 0xff]), 0, 2, bytes.indexOf(Buffer.from([1, 0, 2, 0, 3, 0])));
    await file.close();
    expect(() => dataset.run("af", "train").read(0, new Int32Array(3))).toThrow(
      /train-00000-of-00004\.arrow.*token 0 is 65535/,
    );
    await truncate(join(dir, "zh/validation-00000-of-00001.arrow"), 100);
    expect(() => dataset.run("zh", "validation").read(0, new Int32Array(1))).toThrow(
      /validation-00000-of-00001\.arrow/,
    );
    dataset.close();
  });
});

describe("openDataset", () => {
  it("lists the languages of a split that have tokens, sorted", async () => {
    const dataset = await openDataset(whole);
    expect(dataset.languages("train")).toEqual(["af", "zh-Latn"]);
    expect(dataset.languages("validation")).toEqual(["zh"]);
    expect(dataset.manifest.languages.af.train).toEqual({
      shards: 4,
      documents: 70_004,
      tokens: all.length,
      bytes: 700_040,
    });
    expect(() => dataset.run("am", "train")).toThrow(expect.objectContaining({ code: "language-not-in-dataset" }));
  });

  const edit = async (change: (manifest: Record<string, unknown>) => void): Promise<void> => {
    const path = join(dir, "dataset.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    change(manifest);
    await writeFile(path, JSON.stringify(manifest));
  };

  it.each<[string, () => Promise<void>, RegExp]>([
    ["an absent manifest", () => rm(join(dir, "dataset.json")), /dataset\.json: no tokenized dataset is here/],
    ["a manifest that is not JSON", () => truncate(join(dir, "dataset.json"), 50), /dataset\.json: .*not JSON/],
    [
      "an unknown format",
      () => edit((m) => Object.assign(m, { format: 2 })),
      /dataset\.json: unknown dataset format 2/,
    ],
    ["a key of a wrong type", () => edit((m) => Object.assign(m, { tokenType: "int8" })), /dataset\.json: .*tokenType/],
    ["an unknown key", () => edit((m) => Object.assign(m, { extra: 1 })), /dataset\.json: .*extra/],
    [
      "a file outside of the folder",
      () => edit((m) => Object.assign((m.shards as object[])[0], { file: "../../x.arrow" })),
      /dataset\.json: .*shards\.0\.file/,
    ],
    ["an absent file", () => rm(join(dir, "zh/validation-00000-of-00001.arrow")), /zh\/validation.*is absent/],
    ["a short file", () => truncate(join(dir, "zh/validation-00000-of-00001.arrow"), 9), /zh\/validation.*has 9 bytes/],
    ["an absent vocabulary", () => rm(join(dir, "vocabulary.model")), /vocabulary\.model/],
    ["a truncated vocabulary", () => truncate(join(dir, "vocabulary.model"), 5000), /vocabulary\.model/],
    [
      "another vocabulary",
      () => edit((m) => Object.assign(m.vocabulary as object, { fingerprint: "1".repeat(64) })),
      /vocabulary\.model: the vocabulary is not the one/,
    ],
  ])("refuses %s, naming it", async (_, damage, message) => {
    await damage();
    await expect(openDataset(dir)).rejects.toThrow(message);
  });
});
