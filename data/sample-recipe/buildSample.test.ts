import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readDocuments } from "../../src/corpus/read/readDocuments.js";
import { discoverShards } from "../../src/corpus/shards/discoverShards.js";
import { allLanguages } from "../../src/corpus/shards/languages.js";
import { buildSample, writeSample } from "./buildSample.js";
import { declarations } from "./declarations.js";
import { parseDeclaration } from "./readDeclaration.js";

const shipped = fileURLToPath(new URL("../sample", import.meta.url));
/** Tables are aligned by the formatter: the width of their columns says nothing. */
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8").replaceAll(/ +/g, " ");

describe("the shipped sample", () => {
  it("is what the builder makes", () => {
    const built = buildSample();
    expect(built.map(({ name }) => name).sort()).toEqual(readdirSync(shipped).sort());
    for (const { name, content } of built) {
      expect(gunzipSync(readFileSync(join(shipped, name))).toString(), name).toBe(content);
    }
  });

  it("is read without a rejection, three held-out articles in each of 100 languages", async () => {
    const articles = { train: new Set<string>(), validation: new Set<string>() };
    const shards = await discoverShards([shipped]);
    expect(new Set(shards.map(({ language }) => language)).size).toBe(100);
    for (const { path, split, language } of shards) {
      let documents = 0;
      for await (const chunk of readDocuments(path)) {
        expect(chunk.rejections).toEqual([]);
        documents += chunk.documents.length;
      }
      expect(documents, `${language} ${split}`).toBeGreaterThanOrEqual(split === "train" ? 27 : 3);
      const lines = gunzipSync(readFileSync(path)).toString().trim().split("\n");
      for (const line of lines) {
        const { url } = JSON.parse(line) as { url: string };
        articles[split as "train" | "validation"].add(url.replace(/.*#/, ""));
      }
    }
    expect([...articles.validation].sort()).toEqual(["article-12", "article-2", "article-22"]);
    expect([...articles.train].filter((article) => articles.validation.has(article))).toEqual([]);
    expect(articles.train.size).toBe(28);
  });

  it("is described with what it holds and what it lacks", () => {
    for (const { code, name } of allLanguages()) {
      const row = declarations[code] ? `| ${code} | ${name} | \`${declarations[code]}\` |` : `\`${code}\` ${name}`;
      expect(readme).toContain(row);
    }
  });

  it("is written the same each time, with no time in it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mswitch-sample-"));
    const name = "c4-en.tfrecord-00000-of-00001.json.gz";
    try {
      await writeSample(folder);
      const first = await readFile(join(folder, name));
      await writeSample(folder);
      expect(first.equals(await readFile(join(folder, name)))).toBe(true);
      expect(first.readUInt32LE(4)).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("parseDeclaration", () => {
  it("takes preamble and articles, a line for each heading and paragraph", () => {
    const html = `<body><h1>T</h1><header><h2>P</h2>
      <p>a  b
      c</p></header><article data-number="1"><h2>Art. 1</h2><ol><li><p>x &#x26; y</p></li><li><p>z</p></li></ol></article>`;
    expect(parseDeclaration(html)).toEqual([
      { number: 0, text: "P\na b c" },
      { number: 1, text: "Art. 1\nx & y\nz" },
    ]);
  });

  it("refuses a page with text that it would lose", () => {
    expect(() => parseDeclaration('<article data-number="1"><h2>A</h2><ul><li>lost</li></ul></article>')).toThrow(
      /lost/,
    );
  });
});
