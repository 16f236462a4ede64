import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { verifyDataset } from "../src/dataset/check/verifyDataset.js";
import { preprocess } from "../src/dataset/preprocess/preprocess.js";
import { openDataset } from "../src/dataset/read/openDataset.js";
import { createDecoder } from "../src/vocab/encode/createDecoder.js";
import { createEncoder } from "../src/vocab/encode/createEncoder.js";
import { inspectVocabulary } from "../src/vocab/inspectVocabulary.js";
import { model as vocab } from "./preprocessRuns.js";

const fixture = (name: string): string =>
  fileURLToPath(new URL(`./fixtures/vocabularies/${name}.model`, import.meta.url));

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mswitch-own-"));
  mkdirSync(join(root, "corpus"));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(name: string, lines: string[]): void {
  const text = lines.map((line) => `${line}\n`).join("");
  writeFileSync(join(root, "corpus", name), name.endsWith(".gz") ? gzipSync(text) : text);
}

const said: string[] = [];
const log = { info: (line: string) => void said.push(line), warn: (line: string) => void said.push(line) };
beforeEach(() => void said.splice(0));

function run(options = {}) {
  const sources = [join(root, "corpus")];
  return preprocess({
    sources,
    vocab,
    out: join(root, "out"),
    language: "hr",
    validationEvery: 10,
    workers: 2,
    log,
    ...options,
  });
}

const sentence = (i: number): string => `Sva ljudska bića rađaju se slobodna i jednaka ${i}.`;
const documents = (count: number): string[] => Array.from({ length: count }, (_, i) => sentence(i + 1));

describe("a corpus of one's own", () => {
  it("from text, a table and JSON lines: one language, every tenth document for validation, whole and readable", async () => {
    write("a.txt", documents(40));
    write("b.csv.gz", ["content,n", ...documents(20).map((text) => `"${text}",1`)]);
    write(
      "c.jsonl",
      documents(30).map((content) => JSON.stringify({ content })),
    );
    const summary = await run({ textField: "content" });
    expect(summary).toMatchObject({ complete: true, failed: 0, total: { documents: 90, rejected: 0 } });
    const dataset = await openDataset(join(root, "out"));
    const { train, validation } = dataset.manifest.languages.hr;
    expect([train?.documents, validation?.documents]).toEqual([81, 9]);
    const tokens = new Int32Array(20);
    dataset.run("hr", "validation").read(0, tokens);
    expect(createDecoder(vocab).decode(tokens)).toMatch(/^Sva ljudska bića rađaju se slobodna/);
    dataset.close();
    expect((await verifyDataset(join(root, "out"))).faults).toEqual([]);

    // Nothing is done again, unless what decides the bytes is another.
    expect(await run({ textField: "content" })).toMatchObject({ tokenized: 0, skipped: 6 });
    expect(await run({ textField: "content", validationEvery: 20 })).toMatchObject({ tokenized: 6 });
  });

  it("names a field that is not there, and a dataset without a document", async () => {
    write(
      "c.jsonl",
      documents(3).map((content) => JSON.stringify({ content, id: 1 })),
    );
    expect(await run()).toMatchObject({ total: { documents: 0, rejected: 3 }, rejected: { "missing-text": 3 } });
    expect(said.join("\n")).toMatch(/has no field text; --text-field names another: content, id/);
    expect(said.join("\n")).toMatch(/no document came out/);
  });

  it("names finished shards that the source has no longer", async () => {
    const name = (i: number): string => `c4-hr.tfrecord-0000${i}-of-00002.jsonl`;
    for (const i of [0, 1]) write(name(i), [JSON.stringify({ text: sentence(i) })]);
    await run({ language: undefined });
    rmSync(join(root, "corpus", name(1)));
    expect(await run({ language: undefined })).toMatchObject({ complete: true, tokenized: 0 });
    expect(said.join("\n")).toMatch(/1 finished shards are not in the source any more.*train-00001-of-00002/);
    const { shards } = JSON.parse(readFileSync(join(root, "out", "dataset.json"), "utf8"));
    expect(shards).toHaveLength(2);
  });

  it("refuses to leave a validation split beside a training split that has its documents too", async () => {
    write("a.txt", documents(40));
    await run();
    const before = readFileSync(join(root, "out", "dataset.json"), "utf8");
    for (const options of [{ validationEvery: 0 }, { validationEvery: 15, splits: ["train"] }]) {
      await expect(run(options)).rejects.toMatchObject({ code: "validation-split-differs", exitCode: 2 });
    }
    expect(readFileSync(join(root, "out", "dataset.json"), "utf8")).toBe(before);
    expect(await run({ splits: ["train"] })).toMatchObject({ tokenized: 0 });
    expect(await run({ validationEvery: 15 })).toMatchObject({ tokenized: 2, total: { documents: 40 } });
    // With a file for it the split is made of that.
    write("dev.txt", documents(2));
    expect(await run()).toMatchObject({ tokenized: 2, total: { documents: 42 } });
  });

  it("names shards of other languages that are lost with their records", async () => {
    for (const code of ["hr", "br"]) {
      write("a.txt", documents(3));
      await run({ language: code, validationEvery: 0 });
    }
    const record = join(root, "out", ".records/br/train-00000-of-00001.json");
    writeFileSync(record, "{");
    said.splice(0);
    expect(await run({ validationEvery: 0 })).toMatchObject({ tokenized: 0 });
    expect(said.join("\n")).toMatch(/1 record cannot be read.*br\/train-00000-of-00001\.json/);
    said.splice(0);
    expect(await run({ language: "br", validationEvery: 0 })).toMatchObject({ tokenized: 1 });
    expect(said.join("\n")).not.toMatch(/cannot be read/);
  });

  it("says that another file takes a finished one's place", async () => {
    write("a.txt", documents(3));
    write("b.txt", documents(4));
    const of = (name: string) => ({ sources: [join(root, "corpus", name)], validationEvery: 0 });
    await run(of("a.txt"));
    await run(of("a.txt"));
    expect(said.join("\n")).not.toMatch(/made anew/);
    expect(await run(of("b.txt"))).toMatchObject({ tokenized: 1, total: { documents: 4 } });
    expect(said.join("\n")).toMatch(
      /1 finished shard made anew of other files: hr\/train-00000-of-00001.arrow was \S+a.txt and becomes \S+b.txt/,
    );
  });
});

it("more than 100 GB is not downloaded without a yes, and nothing is written", async () => {
  const options = { sources: ["https://127.0.0.1:1/{name}"], language: undefined, languages: ["en"] };
  await expect(run(options)).rejects.toMatchObject({ code: "download-too-large", exitCode: 2 });
  expect(existsSync(join(root, "out"))).toBe(false);
});

describe("vocabularies", () => {
  it("whose padding is not id 0 is refused before any work, and shown", async () => {
    write("a.txt", documents(1));
    await expect(run({ vocab: fixture("padding-3") })).rejects.toMatchObject({ code: "vocabulary-padding-invalid" });
    const report = await inspectVocabulary(fixture("padding-3"));
    expect(report).toMatchObject({ vocabulary: { padId: 3 }, unusable: expect.stringMatching(/padding/) });
  });

  it("without padding is shown, and how it encodes", async () => {
    const report = await inspectVocabulary(fixture("no-padding"), "free and equal");
    expect(report.unusable).toMatch(/no padding piece/);
    expect(report.encoded?.decoded).toBe("free and equal");
  });

  it("with a denormalizer decode as SentencePiece 0.2.2 does", async () => {
    const text = "All ab/equal_x ab";
    const ids = [...(await createEncoder(fixture("denormalizer"))).encode(Buffer.from(text))];
    expect(ids).toEqual([3, 11, 58, 54, 2, 59, 44, 53, 58, 56, 2, 11, 58, 54]);
    expect(createDecoder(fixture("denormalizer")).decode(ids)).toBe("All X ⁇ equal ⁇  X");
  });
});
