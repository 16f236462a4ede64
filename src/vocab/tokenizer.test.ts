import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openTokenizer } from "./tokenizer.js";

const samplePath = fileURLToPath(new URL("../../vocab/sample.model", import.meta.url));
const before = process.env.XDG_CACHE_HOME;
let cacheHome: string;

beforeEach(() => {
  cacheHome = mkdtempSync(join(tmpdir(), "mswitch-"));
  process.env.XDG_CACHE_HOME = cacheHome;
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
});

it("encodes strings and bytes alike, one by one and as a batch, and decodes them", async () => {
  const tokenizer = await openTokenizer(samplePath);
  const texts = ["Twee drie vier", "", "语言 \u{1f600} ქართული", "a".repeat(5000)];
  const batch = tokenizer.encodeBatch(texts);
  const bytes = tokenizer.encodeBatch(texts.map((text) => Buffer.from(text)));
  expect(batch).toEqual(texts.map((text) => tokenizer.encode(text)));
  expect(bytes).toEqual(batch);
  expect(batch.map((ids) => tokenizer.decode(ids))).toEqual(texts);
});

it("keeps the trie, and neither a damaged one nor a cache directory that is none changes an id", async () => {
  const text = "Twee drie vier, 语言 ქართული";
  const built = (await openTokenizer(samplePath)).encode(text);
  const [name] = readdirSync(join(cacheHome, "mswitch"));
  expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
  for (const damaged of ["", "x".repeat(1000)]) {
    writeFileSync(join(cacheHome, "mswitch", name), damaged);
    expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
  }
  process.env.XDG_CACHE_HOME = samplePath;
  expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
});
