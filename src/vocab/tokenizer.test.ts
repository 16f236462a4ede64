import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { t5Pieces, writeModel } from "../../test/fixtures/modelFixture.js";
import { sha256 } from "../base/hash.js";
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

it("keeps the encoder, and neither a damaged one nor a cache directory that is none changes an id", async () => {
  const text = "Twee drie vier, 语言 ქართული";
  const built = (await openTokenizer(samplePath)).encode(text);
  const [name] = readdirSync(join(cacheHome, "mswitch"));
  const path = join(cacheHome, "mswitch", name);
  const kept = readFileSync(path);
  expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
  for (const damaged of [
    "",
    "x".repeat(1000),
    kept.subarray(0, -1),
    kept.map((byte, i) => (i === 5000 ? ~byte : byte)),
  ]) {
    writeFileSync(path, damaged);
    expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
    expect(readFileSync(path).equals(kept)).toBe(true);
  }
  process.env.XDG_CACHE_HOME = samplePath;
  expect((await openTokenizer(samplePath)).encode(text)).toEqual(built);
});

it("takes the kept encoder without a look at the pieces", async () => {
  const other = join(cacheHome, "other.model");
  writeFileSync(other, writeModel({ pieces: t5Pieces(["▁", "a"], false) }));
  await openTokenizer(samplePath);
  const [name] = readdirSync(join(cacheHome, "mswitch"));
  const format = name.slice(name.indexOf("."));
  const fingerprint = sha256(readFileSync(other));
  copyFileSync(join(cacheHome, "mswitch", name), join(cacheHome, "mswitch", fingerprint + format));
  const text = "Twee drie vier";
  expect((await openTokenizer(other)).encode(text)).toEqual((await openTokenizer(samplePath)).encode(text));
});
