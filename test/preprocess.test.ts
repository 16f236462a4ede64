import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { DatasetManifest } from "../src/dataset/format/manifest.js";
import type { PreprocessSummary } from "../src/dataset/preprocess/preprocessSummary.js";
import { openDataset } from "../src/dataset/read/openDataset.js";
import { createDecoder } from "../src/vocab/encode/createDecoder.js";
import { line, model, preprocess, type Run, snapshot, text, writeCorpus, writeShard } from "./preprocessRuns.js";

let dir: string;
let corpus: string;
let whole: string;
const wholeArgs = (out: string): string[] => ["--source", corpus, "--vocab", model, "--out", out, "--workers", "1"];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-preprocess-"));
  corpus = join(dir, "corpus");
  await writeCorpus(corpus, ["af", "zh", "zh-Latn"], { shards: 2, documents: 12, words: 60 });
  whole = join(dir, "whole");
  expect(await preprocess(wholeArgs(whole))).toMatchObject({ code: 0 });
});
afterAll(() => rm(dir, { recursive: true }));

/** Each test works on copies. */
let out: string;
let tests = 0;
beforeEach(() => {
  out = join(dir, `out-${tests++}`);
});

const manifestOf = async (folder: string): Promise<DatasetManifest> =>
  JSON.parse(await readFile(join(folder, "dataset.json"), "utf8"));
const tokensOf = async (path: string): Promise<{ line: number; ids: number[]; bytes: number }[]> =>
  tableFromIPC(await readFile(path))
    .toArray()
    .map((row) => ({ line: row.line, ids: [...row.tokens], bytes: row.bytes }));

/** The summary of a run that finished. */
function answer({ code, stdout, stderr }: Run): PreprocessSummary {
  expect([0, 3], stderr).toContain(code);
  return JSON.parse(stdout);
}

describe("mswitch preprocess", () => {
  it("tokenizes every document once and can be traced back to it", async () => {
    const decoder = createDecoder(model);
    const source = gunzipSync(await readFile(join(corpus, "c4-zh.tfrecord-00001-of-00002.json.gz"))).toString();
    const texts = source
      .trimEnd()
      .split("\n")
      .map((one) => JSON.parse(one).text as string);
    const rows = await tokensOf(join(whole, "zh/train-00001-of-00002.arrow"));
    expect(rows.map((row) => row.line)).toEqual(texts.map((_, i) => i + 1));
    expect(rows.map((row) => row.bytes)).toEqual(texts.map((one) => Buffer.byteLength(one)));
    expect(rows.map((row) => decoder.decode(row.ids))).toEqual(texts.map((one) => one.normalize("NFKC")));
    const dataset = await openDataset(whole);
    expect(dataset.languages("train")).toEqual(["af", "zh", "zh-Latn"]);
    expect(dataset.languages("validation")).toEqual(["af", "zh", "zh-Latn"]);
    expect(dataset.manifest.languages.zh.train).toMatchObject({ shards: 2, documents: 24 });
    dataset.close();
  });

  it("writes files that pyarrow opens as they are", async (ctx) => {
    const python = process.env.MSWITCH_PYTHON;
    if (!python) return ctx.skip("MSWITCH_PYTHON names no Python with pyarrow");
    const script = `
import glob, json, pyarrow as pa
rows = tokens = text = 0
for path in glob.glob(${JSON.stringify(join(whole, "*/*.arrow"))}):
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    table.validate(full=True)
    assert [str(f.type) for f in table.schema] == ["list<item: uint16 not null>", "uint32", "uint32"], table.schema
    assert table.schema.metadata[b"language"].decode() in path
    rows += table.num_rows
    tokens += sum(len(t) for t in table["tokens"].to_pylist())
    text += sum(table["bytes"].to_pylist())
print(json.dumps([rows, tokens, text]))`;
    const { stdout, stderr } = spawnSync(python, ["-c", script], { encoding: "utf8" });
    expect(stderr).toBe("");
    const totals = Object.values((await manifestOf(whole)).languages).flatMap((splits) => Object.values(splits));
    const sum = (key: "documents" | "tokens" | "bytes") => totals.reduce((all, one) => all + one[key], 0);
    expect(JSON.parse(stdout)).toEqual([sum("documents"), sum("tokens"), sum("bytes")]);
  });

  it("prints a summary by language, and with --json one document and nothing else", async () => {
    const plain = await preprocess(wholeArgs(whole));
    expect(plain.stdout).toMatch(/^language +shards +documents +tokens +bytes +tokens\/byte +set aside\naf +3 +36 /);
    expect(plain.stdout).toMatch(/\ntotal +9 +108 /);
    const args = [...wholeArgs(out), "--json", "--languages", "af,zh", "--split", "train"];
    const summary = answer(await preprocess(args));
    expect(summary).toMatchObject({ tokenized: 4, skipped: 0, failed: 0, complete: true, total: { documents: 48 } });
    expect(Object.keys(summary.languages)).toEqual(["af", "zh"]);
    expect(Object.keys((await manifestOf(out)).languages)).toEqual(["af", "zh"]);
  });

  it("shares the shards out among tasks, and the last one completes the dataset", async () => {
    for (const task of ["2/3", "0/3"]) {
      const share = answer(await preprocess([...wholeArgs(out), "--task", task, "--json"]));
      expect(share).toMatchObject({ tokenized: 3, complete: false, quarantine: null });
    }
    const last = answer(await preprocess([...wholeArgs(out), "--task", "1/3", "--json"]));
    expect(last).toMatchObject({ tokenized: 3, complete: true });
    expect(snapshot(out)).toEqual(snapshot(whole));
  });

  it("gives the same files when tasks run at the same time", async () => {
    const runs = ["0/2", "1/2"].map((task) => preprocess([...wholeArgs(out), "--task", task]));
    expect((await Promise.all(runs)).map(({ code }) => code)).toEqual([0, 0]);
    expect(snapshot(out)).toEqual(snapshot(whole));
  });
});

describe("run again", () => {
  const times = (folder: string): Record<string, number> =>
    Object.fromEntries(Object.keys(snapshot(folder)).map((name) => [name, statSync(join(folder, name)).mtimeMs]));
  const again = async (...args: string[]): Promise<PreprocessSummary> =>
    answer(await preprocess([...wholeArgs(out), "--json", ...args]));

  beforeEach(() => cp(whole, out, { recursive: true }));

  it("does nothing", async () => {
    const before = times(out);
    expect(await again()).toMatchObject({ tokenized: 0, skipped: 9, total: { documents: 108 } });
    expect(times(out)).toEqual(before);
  });

  it.each<[string, (file: string) => Promise<void>, string[]]>([
    ["deleted", (file) => rm(file), []],
    ["truncated", (file) => truncate(file, 100), []],
    ["damaged, with --verify,", (file) => flipByte(file), ["--verify"]],
  ])("redoes a %s output and no other", async (_, damage, args) => {
    await damage(join(out, "af/train-00000-of-00002.arrow"));
    expect(await again(...args)).toMatchObject({ tokenized: 1, skipped: 8 });
    expect(snapshot(out)).toEqual(snapshot(whole));
  });

  it("redoes a shard whose record is absent or damaged", async () => {
    await rm(join(out, ".records/af/train-00000-of-00002.json"));
    await truncate(join(out, ".records/zh/train-00000-of-00002.json"), 40);
    expect(await again()).toMatchObject({ tokenized: 2, skipped: 7 });
    expect(snapshot(out)).toEqual(snapshot(whole));
  });

  it("redoes a shard that was changed, also to one of equal size, and one that was read with other options", async () => {
    const shard = join(corpus, "c4-af.tfrecord-00001-of-00002.json.gz");
    const original = await readFile(shard);
    await flipByte(shard);
    const changed = await again();
    expect(changed).toMatchObject({ tokenized: 1, skipped: 8 });
    expect(changed.total.rejected).toBeGreaterThan(0);
    await writeFile(shard, original);
    expect(await again()).toMatchObject({ tokenized: 1, skipped: 8, total: { rejected: 0 } });
    expect(snapshot(out)).toEqual(snapshot(whole));
    expect(await again("--max-line-bytes", "100000")).toMatchObject({ tokenized: 9 });
  });

  it("takes a source that was moved or touched for what it holds", async () => {
    const moved = join(dir, "moved");
    await cp(corpus, moved, { recursive: true });
    const args = ["--source", moved, "--vocab", model, "--out", out, "--json"];
    expect(answer(await preprocess(args))).toMatchObject({ tokenized: 0, skipped: 9 });
    const fresh = join(dir, "moved-out");
    await preprocess(["--source", moved, "--vocab", model, "--out", fresh]);
    expect(snapshot(out)).toEqual(snapshot(fresh));
  });

  it("adds languages to those that are there", async () => {
    await rm(out, { recursive: true });
    await preprocess([...wholeArgs(out), "--languages", "zh"]);
    expect(await again("--languages", "af,zh-Latn")).toMatchObject({ tokenized: 6, total: { shards: 6 } });
    expect(snapshot(out)).toEqual(snapshot(whole));
  });

  it("mends a damaged copy of the vocabulary and refuses another vocabulary", async () => {
    await truncate(join(out, "vocabulary.model"), 1000);
    expect(await again()).toMatchObject({ tokenized: 0 });
    expect(snapshot(out)).toEqual(snapshot(whole));
    const other = join(dir, "other.model");
    // One more piece: "zzz", score 0, normal.
    const piece = Buffer.from([0x0a, 12, 0x0a, 3, 0x7a, 0x7a, 0x7a, 0x15, 0, 0, 0, 0, 0x18, 1]);
    await writeFile(other, Buffer.concat([await readFile(model), piece]));
    const { code, stderr } = await preprocess(["--source", corpus, "--vocab", other, "--out", out]);
    expect(code).toBe(2);
    expect(stderr).toContain(`error: ${out}: `);
    expect(stderr).toContain("[vocabulary-dataset-mismatch]");
    expect(snapshot(out)).toEqual(snapshot(whole));
  });

  it("refuses the same language cut into another number of shards", async () => {
    const recut = join(dir, "recut");
    await writeShard(recut, ["af", "train", 0, 1], [line("a b c")]);
    const { code, stderr } = await preprocess(["--source", recut, "--vocab", model, "--out", out]);
    expect(code).toBe(2);
    expect(stderr).toContain("af train cut into 2 shards");
  });
});

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length >> 1] ^= 0x10;
  await writeFile(path, bytes);
}

describe("bad input", () => {
  const big = Buffer.alloc(50 * 2 ** 20, "a");
  const badLines: [string, string | Uint8Array][] = [
    ["invalid-json", '{"text": "cut'],
    ["invalid-json", "no JSON at all"],
    ["not-an-object", "[1, 2]"],
    ["missing-text", '{"url": "https://example.org/"}'],
    ["text-not-string", '{"text": 12}'],
    ["empty-text", '{"text": ""}'],
    ["nul", '{"text": "a\\u0000b"}'],
    ["lone-surrogate", '{"text": "a\\ud800b"}'],
    ["invalid-utf8", Buffer.concat([Buffer.from('{"text": "'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')])],
    ["line-too-long", Buffer.concat([Buffer.from('{"text": "'), big, Buffer.from('"}')])],
  ];

  it("sets every bad line and every damaged shard aside by name, and loses nothing else", async () => {
    const bad = join(dir, "bad");
    const good = (n: number): string[] => Array.from({ length: n }, (_, i) => line(text(i, 20)));
    const lines = badLines.flatMap(([, one], i) => [one, line(text(i, 20))]);
    const mixed = await writeShard(bad, ["af", "train", 0, 4], lines);
    await writeShard(bad, ["af", "train", 1, 4], good(5));
    const notGzip = await writeShard(bad, ["af", "train", 2, 4], []);
    await writeFile(notGzip, "this is no gzip");
    const cut = await writeShard(bad, ["af", "train", 3, 4], good(400));
    await truncate(cut, statSync(cut).size >> 1);
    const corrupt = await writeShard(bad, ["am", "train", 0, 1], good(400));
    await flipByte(corrupt);
    const empty = await writeShard(bad, ["be", "train", 0, 1], []);
    await writeFile(empty, "");

    const { code, stdout, stderr } = await preprocess(["--source", bad, "--vocab", model, "--out", out, "--json"]);
    expect(code).toBe(3);
    const summary: PreprocessSummary = JSON.parse(stdout);
    expect(summary).toMatchObject({ tokenized: 6, failed: 0 });

    const kept = await tokensOf(join(out, "af/train-00000-of-00004.arrow"));
    expect(kept.map((row) => row.line)).toEqual(badLines.map((_, i) => 2 * i + 2));
    expect(await tokensOf(join(out, "af/train-00001-of-00004.arrow"))).toHaveLength(5);
    const beforeTheCut = await tokensOf(join(out, "af/train-00003-of-00004.arrow"));
    expect(beforeTheCut.length).toBeGreaterThan(100);
    expect(beforeTheCut.map((row) => row.line)).toEqual(beforeTheCut.map((_, i) => i + 1));

    const quarantine = (await readFile(join(out, "quarantine.jsonl"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((one) => JSON.parse(one));
    expect(quarantine).toHaveLength(summary.total.rejected);
    expect(quarantine.filter(({ file }) => file === mixed)).toHaveLength(badLines.length);
    for (const [i, [cause]] of badLines.entries()) {
      expect(quarantine).toContainEqual({ file: mixed, line: 2 * i + 1, cause, detail: expect.any(String) });
    }
    for (const [file, cause] of [
      [notGzip, "not-gzip"],
      [cut, "truncated-gzip"],
    ]) {
      expect(quarantine).toContainEqual(expect.objectContaining({ file, cause }));
      expect(stderr).toMatch(new RegExp(`warning: ${file} line \\d+: ${cause}: `));
    }
    for (const file of [corrupt, empty]) expect(quarantine).toContainEqual(expect.objectContaining({ file }));
    expect(stderr).toContain(`${mixed} line 1: invalid-json: `);
    expect(stderr).toContain("5 more set aside");

    const again = await preprocess(["--source", bad, "--vocab", model, "--out", out]);
    expect(again.code).toBe(3);
    expect(again.stdout).toContain(`listed in ${join(out, "quarantine.jsonl")}`);
    expect(again.stdout).toContain("0 shards tokenized, 6 were done already");
  });

  it("leaves a shard out that cannot be read, names it, and takes it in when it can", async () => {
    const some = join(dir, "some");
    await cp(corpus, some, { recursive: true });
    const shard = join(some, "c4-af.tfrecord-00000-of-00002.json.gz");
    await rename(shard, join(dir, "aside.gz"));
    await mkdir(shard);
    const args = ["--source", some, "--vocab", model, "--out", out, "--json"];
    const { code, stdout, stderr } = await preprocess(args);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ tokenized: 8, failed: 1, failures: [{ file: shard }] });
    expect(stderr).toContain(`warning: ${shard}: the shard was left out`);
    expect((await manifestOf(out)).shards).toHaveLength(8);
    await rm(shard, { recursive: true });
    await rename(join(dir, "aside.gz"), shard);
    expect(answer(await preprocess(args))).toMatchObject({ tokenized: 1, skipped: 8, failed: 0 });
  });

  it.each<[string, () => Promise<string[]> | string[], RegExp]>([
    ["an absent source", () => ["--source", join(dir, "nowhere")], /nowhere: .*\[source-unreadable\]/],
    [
      "an empty source",
      async () => {
        await mkdir(join(dir, "empty"), { recursive: true });
        return ["--source", join(dir, "empty")];
      },
      /empty: .*\[source-empty\]/,
    ],
    ["an unknown language", () => ["--languages", "af,he"], /\[unknown-language\][\s\S]*did you mean iw/],
    [
      "an unknown language of a shard",
      async () => {
        await writeShard(join(dir, "unknown"), ["xx", "train", 0, 1], [line("a")]);
        return ["--source", join(dir, "unknown")];
      },
      /c4-xx\.tfrecord.*\[unknown-language\]/,
    ],
    [
      "two sources for one shard name",
      async () => {
        await writeShard(join(dir, "twice"), ["af", "train", 0, 2], [line("a")]);
        return ["--source", join(dir, "twice"), "--source", corpus];
      },
      /c4-af\.tfrecord-00000-of-00002\.json\.gz.*\[duplicate-shard\]/,
    ],
    ["an unknown split", () => ["--split", "tset"], /--split: .*\[flag-invalid\]/],
    ["a task that is none", () => ["--task", "3/3"], /--task: .*\[flag-invalid\]/],
    ["an output folder without a name", () => ["--out", ""], /\[output-unusable\]/],
    ["an output folder that is a file", () => ["--out", model], /sample\.model: .*\[output-unusable\]/],
    ["an output folder that holds something else", () => ["--out", corpus], /corpus: .*\[output-in-use\]/],
  ])("refuses %s before any work, by name, with exit code 2", async (_, makeArgs, message) => {
    const own = await makeArgs();
    const standard = { "--source": corpus, "--vocab": model, "--out": out };
    const args = Object.entries(standard).flatMap(([flag, value]) => (own.includes(flag) ? [] : [flag, value]));
    const plain = await preprocess([...args, ...own]);
    expect(plain.stderr).toMatch(message);
    expect(plain.stderr).toMatch(/^error: /);
    expect(plain).toMatchObject({ code: 2, stdout: "" });
    expect(() => statSync(out)).toThrow();
  });

  it("answers with one JSON document that holds the error where --json is given", async () => {
    const { code, stdout } = await preprocess([...wholeArgs(out), "--json", "--task", "3/3"]);
    expect(code).toBe(2);
    const text = expect.any(String);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "flag-invalid", where: "--task", message: text, what: text, why: text, hint: text },
    });
  });

  it.each<[string, (path: string) => Promise<void>]>([
    ["truncated", async (path) => writeFile(path, (await readFile(model)).subarray(0, 20_000))],
    ["empty", (path) => writeFile(path, "")],
    ["something else", (path) => writeFile(path, gzipSync("no model"))],
    ["absent", async () => undefined],
  ])("refuses a vocabulary that is %s before any work", async (_, make) => {
    const path = join(dir, "bad.model");
    await rm(path, { force: true });
    await make(path);
    const { code, stdout, stderr } = await preprocess(["--source", corpus, "--vocab", path, "--out", out]);
    expect(code === 1 || code === 2).toBe(true);
    expect(stderr).toMatch(/^error: .*bad\.model/);
    expect(stdout).toBe("");
    expect(() => statSync(out)).toThrow();
  });
});
