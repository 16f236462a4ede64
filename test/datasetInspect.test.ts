import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { InspectReport } from "../src/analysis/tokenStatistics.js";
import { inspectDataset } from "../src/dataset/check/inspectDataset.js";
import { datasetWarnings } from "../src/report/data/datasetWarnings.js";
import { datasetHtml } from "../src/report/render/datasetHtml.js";
import { writeDatasetPage } from "../src/report/render/writeDatasetPage.js";
import { createDecoder } from "../src/vocab/encode/createDecoder.js";
import { createEncoder } from "../src/vocab/encode/createEncoder.js";
import { writeDiskDataset } from "./diskDataset.js";
import { chromiumPath } from "./helpers/chromiumPath.js";
import { line, model, mswitch, preprocess, text, writeShard } from "./preprocessRuns.js";

let folder: string;
let dataset: string;
/** Texts by language, in the order of their lines; emoji have no piece in the shipped vocabulary and are spelt in bytes. */
const texts: Record<string, string[]> = {
  af: ["een twee drie", "a", "\u{1f9ff}\u{1fabf}", "'n  <script>alert(1)</script>\n reël"],
  am: Array.from({ length: 40 }, (_, i) => text(i, 1 + i)),
};

const decoder = createDecoder(model);
/** A text's tokens, from the encoder itself. */
let encode: (text: string) => { id: number; piece: string }[];

beforeAll(async () => {
  const encoder = await createEncoder(model);
  encode = (one) => Array.from(encoder.encode(Buffer.from(one)), (id) => ({ id, piece: decoder.pieceOf(id) }));
  folder = await mkdtemp(join(tmpdir(), "mswitch-inspect-"));
  dataset = join(folder, "tokens");
  const corpus = join(folder, "corpus");
  await writeShard(corpus, ["af", "train", 0, 1], ["{", ...texts.af.map(line)]);
  for (const part of [0, 1]) {
    await writeShard(corpus, ["am", "train", part, 2], texts.am.slice(20 * part, 20 * part + 20).map(line));
  }
  expect((await preprocess(["--source", corpus, "--vocab", model, "--out", dataset])).code).toBe(3);
});
afterAll(() => rm(folder, { recursive: true }));

test("counts are those of the texts, encoded one by one", async () => {
  const report = await inspectDataset(dataset);
  expect(report.languages.map(({ language }) => language)).toEqual(["af", "am"]);
  for (const counted of [...report.languages, report.total]) {
    const all = counted.language === "total" ? [...texts.af, ...texts.am] : texts[counted.language];
    const encoded = all.map(encode);
    const tokens = encoded.flat();
    const bytes = all.reduce((sum, one) => sum + Buffer.byteLength(one), 0);
    const words = all.reduce((sum, one) => sum + one.trim().split(/\s+/).length, 0);
    const spelt = tokens.filter(({ piece }) => /^<0x..>$/.test(piece)).length;
    expect(counted).toMatchObject({ documents: all.length, tokens: tokens.length, bytes, words, byteFallback: spelt });
    expect(counted.tokensPerByte).toBe(tokens.length / bytes);
    expect(counted.fertility).toBe(tokens.length / words);
    expect(counted.byteFallbackRate).toBe(spelt / tokens.length);
    expect(counted.unknownRate).toBe(0);
    expect(counted.longest).toBe(Math.max(...encoded.map(({ length }) => length)));
    for (const [k, count] of counted.lengths.entries()) {
      const inBin = encoded.filter(({ length }) => length < 2 ** k && length >= Math.floor(2 ** (k - 1)));
      expect(count).toBe(inBin.length);
    }
    expect(counted.lengths.reduce((a, b) => a + b)).toBe(all.length);
  }
  // Two emoji of four bytes, and four signs of the markup.
  expect(report.languages[0].byteFallback).toBe(12);
});

test("documents are spread over the language and come with source, line, pieces and ids", async () => {
  const { documents } = await inspectDataset(dataset, { languages: ["am"], documents: 4 });
  const shard = (index: number): string => join(folder, `corpus/c4-am.tfrecord-0000${index}-of-00002.json.gz`);
  expect(documents.map((one) => [one.source, one.line])).toEqual([
    [shard(0), 1],
    [shard(0), 11],
    [shard(1), 1],
    [shard(1), 11],
  ]);
  for (const [i, { ids, pieces, text: shown, tokens, bytes }] of documents.entries()) {
    const encoded = encode(texts.am[10 * i]);
    expect(tokens).toBe(encoded.length);
    expect(bytes).toBe(Buffer.byteLength(texts.am[10 * i]));
    expect(ids.map((id, k) => ({ id, piece: pieces[k] }))).toEqual(encoded.slice(0, ids.length));
    expect(shown).toBe(decoder.decode(ids));
  }
  const all = await inspectDataset(dataset, { documents: 100 });
  expect(all.documents).toHaveLength(44);
  // Line 1 of the Afrikaans shard was set aside.
  expect(all.documents.slice(0, 4).map((one) => one.line)).toEqual([2, 3, 4, 5]);
  expect(all.documents[0].text).toBe(texts.af[0]);
});

test("says where it came from, under what licence, of which days, and what was set aside", async () => {
  const corpus = join(folder, "corpus");
  await writeFile(join(folder, "LICENSE"), "\n# Some Licence 1.0\n\nText");
  const report = await inspectDataset(dataset);
  expect(report.sources).toEqual([
    {
      folder: corpus,
      files: 3,
      bytes: expect.any(Number),
      versions: [],
      licence: { name: "Some Licence 1.0", file: join(folder, "LICENSE") },
    },
  ]);
  // A dataset card in the corpus's own folder goes before a licence above it.
  await writeFile(join(corpus, "README.md"), "---\nlicense: [odc-by, cc0-1.0]\n---\n# Corpus\n");
  expect((await inspectDataset(dataset)).sources[0].licence?.name).toBe("odc-by, cc0-1.0");
  await writeFile(join(corpus, "README.md"), "---\nlicense: &a [*a\n---\n");
  expect((await inspectDataset(dataset)).sources[0].licence?.name).toBe("Some Licence 1.0");
  expect(report.setAside).toEqual({
    causes: { "invalid-json": 1 },
    byLanguage: { af: 1 },
    listed: [
      {
        file: expect.stringContaining("c4-af"),
        language: "af",
        line: 1,
        cause: "invalid-json",
        detail: expect.any(String),
      },
    ],
  });
  expect(report.withoutValidation).toEqual(["af", "am"]);
  expect(Object.keys(report.dates)).toEqual(["af", "am"]);
  const warnings = datasetWarnings(report).join("\n");
  expect(warnings).toMatch(/In 1 language more than 5 % of the tokens spell one byte each.*Afrikaans \d/);
  expect(warnings).toContain("Afrikaans, Amharic have no validation text");
  expect(warnings).toMatch(/1 time something was set aside \(2\.22 %/);
  expect(warnings).not.toContain("licence");
});

test("days are those of the source's timestamps, as long as it is the same file", async () => {
  const corpus = join(folder, "dated");
  const out = join(folder, "dated-tokens");
  const days = ["2019-05-06T00:00:00Z", "2017-01-02T03:04:05Z", "yesterday", "2020-12-31T23:59:59Z"];
  const lines = days.map((timestamp, i) => JSON.stringify({ text: `teks ${i}`, timestamp }));
  await writeShard(corpus, ["af", "train", 0, 1], lines);
  expect((await preprocess(["--source", corpus, "--vocab", model, "--out", out])).code).toBe(0);
  expect((await inspectDataset(out)).dates).toEqual({ af: { from: "2017-01-02", to: "2020-12-31", documents: 3 } });
  await writeShard(corpus, ["af", "train", 0, 1], lines.slice(1));
  expect((await inspectDataset(out)).dates).toEqual({});
  await rm(corpus, { recursive: true });
  expect((await inspectDataset(out)).dates).toEqual({});
});

test("--shards reads the first of each language and says so", async () => {
  const { languages, total } = await inspectDataset(dataset, { shards: 1 });
  expect(languages.map(({ shards, allShards, documents }) => [shards, allShards, documents])).toEqual([
    [1, 1, 4],
    [1, 2, 20],
  ]);
  expect(total).toMatchObject({ shards: 2, allShards: 3 });
});

test("a language that is not there and another vocabulary are wrong use", async () => {
  await expect(inspectDataset(dataset, { languages: ["zu"] })).rejects.toMatchObject({
    code: "language-not-in-dataset",
    why: expect.stringContaining("af, am"),
  });
  await writeDiskDataset(join(folder, "other"), { af: { train: 3 } });
  const other = join(folder, "other/vocabulary.model");
  await expect(inspectDataset(dataset, { vocab: other })).rejects.toMatchObject({
    code: "vocabulary-dataset-mismatch",
  });
  expect((await inspectDataset(dataset, { vocab: model })).total.documents).toBe(44);
});

test("the command prints a table and documents, writes the page, and one document with --json", async () => {
  const out = join(folder, "page");
  const { code, stdout } = await mswitch(["dataset", "inspect", dataset, "--language", "af", "--out", out]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^language +files +documents/);
  expect(stdout).toMatch(/^af +1 +4 /m);
  expect(stdout).toMatch(/af train .*c4-af\.tfrecord-00000-of-00001\.json\.gz line 2 /);
  expect(stdout).toContain(`▁e:${encode("een")[0].id} `);
  expect(stdout).toContain(join(out, "dataset.html"));
  const page = await readFile(join(out, "dataset.html"), "utf8");
  expect(page).toContain("Afrikaans");
  expect(page).toContain("c4-af.tfrecord-00000-of-00001.json.gz");
  const json = await mswitch(["dataset", "inspect", dataset, "--json"]);
  expect((JSON.parse(json.stdout) as InspectReport).total.documents).toBe(44);
});

test("a dataset without a document has no lengths", async () => {
  const [corpus, out] = [join(folder, "nothing"), join(folder, "nothing-tokens")];
  await writeShard(corpus, ["zu", "train", 0, 1], ["{"]);
  await preprocess(["--source", corpus, "--vocab", model, "--out", out]);
  const { code, stdout } = await mswitch(["dataset", "inspect", out]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^zu +1 +0 /m);
  expect(stdout).not.toMatch(/lengths: documents/);
});

test("the page escapes texts and reaches for nothing outside of itself", async () => {
  const page = datasetHtml(await inspectDataset(dataset, { documents: 9 }));
  expect(page).toContain("&lt;script&gt;alert(1)");
  expect(page).not.toContain("<script>alert(1)");
  expect(page.replace(/<script type="module">[\s\S]*?<\/script>/, "")).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
});

test("the page sorts its table and asks the network for nothing", async (ctx) => {
  if (!chromiumPath) return ctx.skip("no Chromium: set CHROMIUM to its path, or put it on PATH");
  const page = await writeDatasetPage(await inspectDataset(dataset, { documents: 1 }), folder);
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const view = await browser.newPage();
    const faults: string[] = [];
    view.on("pageerror", (error) => faults.push(error.message));
    view.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) faults.push(request.url());
    });
    await view.goto(pathToFileURL(page).href);
    const codes = (): Promise<(string | null)[]> =>
      view.$$eval("#dataset-languages tbody th code", (found) => found.map((cell) => cell.textContent));
    expect(await codes()).toEqual(["af", "am"]);
    // Amharic has more documents; the first click puts the largest first.
    await view.click("#dataset-languages th:nth-child(2) button");
    expect(await codes()).toEqual(["am", "af"]);
    await view.click("#dataset-languages th:nth-child(2) button");
    expect(await codes()).toEqual(["af", "am"]);
    expect(await view.getAttribute("#dataset-languages th:nth-child(2)", "aria-sort")).toBe("ascending");
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
  }
});
