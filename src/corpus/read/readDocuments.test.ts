import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Rejection, ShardSummary } from "./document.js";
import { type ReadDocumentsOptions, readDocuments } from "./readDocuments.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mswitch-read-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function readPath(path: string, options?: ReadDocumentsOptions) {
  const documents: { text: string; line: number }[] = [];
  const rejections: Rejection[] = [];
  let summary: ShardSummary | undefined;
  for await (const chunk of readDocuments(path, options)) {
    expect(summary).toBeUndefined();
    for (const { text, line } of chunk.documents) documents.push({ text: Buffer.from(text).toString(), line });
    rejections.push(...chunk.rejections);
    summary = chunk.summary;
  }
  if (!summary) throw new Error("no summary came");
  return { documents, rejections, summary };
}

async function read(compressed: Uint8Array, options?: ReadDocumentsOptions) {
  const path = join(folder, "shard.json.gz");
  await writeFile(path, compressed);
  return readPath(path, options);
}

const line = (text: unknown) => `${JSON.stringify({ text, timestamp: "2019-04-25T12:57:54Z", url: "u" })}\n`;
const texts = fc.array(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }).filter((text) => !text.includes("\0")),
  { maxLength: 20 },
);

describe("readDocuments", () => {
  it("reads back any texts, with lines and what identifies the source", async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.boolean(), async (texts, lastNewline) => {
        const whole = texts.map(line).join("");
        const compressed = gzipSync(lastNewline ? whole : whole.slice(0, -1));
        const { documents, rejections, summary } = await read(compressed);
        expect(documents).toEqual(texts.map((text, i) => ({ text, line: i + 1 })));
        expect(rejections).toEqual([]);
        expect(summary).toEqual({
          sha256: createHash("sha256").update(compressed).digest("hex"),
          bytes: compressed.length,
          inflatedBytes: Buffer.byteLength(whole) - (lastNewline || texts.length === 0 ? 0 : 1),
          lines: texts.length,
        });
      }),
      { numRuns: 50 },
    );
  });

  it("reads a shard cut at any byte as its first documents and one rejection", async () => {
    const at = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    await fc.assert(
      fc.asyncProperty(texts, at, fc.constantFrom(0, 9), async (texts, at, level) => {
        const whole = gzipSync(texts.map(line).join(""), { level });
        const { documents, rejections } = await read(whole.subarray(0, Math.floor(at * whole.length)));
        expect(documents.length).toBeLessThanOrEqual(texts.length);
        expect(documents).toEqual(texts.slice(0, documents.length).map((text, i) => ({ text, line: i + 1 })));
        expect(rejections).toEqual([
          { cause: "truncated-gzip", line: documents.length + 1, detail: expect.stringMatching(/ends before/) },
        ]);
      }),
      { numRuns: 100 },
    );
  });

  it("keeps every good document among any bad lines, with the line of each fault", async () => {
    const bad = [
      ["not json", "invalid-json"],
      ["[]", "not-an-object"],
      ["{}", "missing-text"],
      ['{"text":7}', "text-not-string"],
      ['{"text":""}', "empty-text"],
      ['{"text":"\\u0000"}', "nul"],
      ['{"text":"\0"}', "nul"],
      ['{"text":"\\udead"}', "lone-surrogate"],
      [Buffer.from([0xff, 0xfe]), "invalid-utf8"],
      ["x".repeat(1001), "line-too-long"],
      [" \t\r", undefined],
      ["", undefined],
    ] as const;
    const entry = fc.oneof(fc.constant("good" as const), fc.constantFrom(...bad));
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 30 }), async (entries) => {
        const lines = entries.map((entry) => (entry === "good" ? line("good").trim() : entry[0]));
        const bytes = Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from("\n")]));
        const { documents, rejections, summary } = await read(gzipSync(bytes), { maxLineBytes: 1000 });
        expect(documents).toEqual(
          entries.flatMap((entry, i) => (entry === "good" ? [{ text: "good", line: i + 1 }] : [])),
        );
        expect(rejections.map(({ cause, line }) => [cause, line])).toEqual(
          entries.flatMap((entry, i) => (entry === "good" || !entry[1] ? [] : [[entry[1], i + 1]])),
        );
        expect(summary.lines).toBe(entries.length);
      }),
      { numRuns: 50 },
    );
  });

  it("takes carriage returns, members one after the other and a line that runs over them", async () => {
    const compressed = Buffer.concat([gzipSync('{"text":"a"}\r\n{"te'), gzipSync('xt":"b"}\r\n')]);
    const { documents, rejections } = await read(compressed);
    expect(documents.map(({ text }) => text)).toEqual(["a", "b"]);
    expect(rejections).toEqual([]);
  });

  it("keeps the documents of a shard whose checksum is wrong, but no line without an end", async () => {
    const broken = gzipSync(`${line("a")}${line("b")}${line("c").trim()}`);
    broken[broken.length - 6] ^= 1;
    const { documents, rejections, summary } = await read(broken);
    expect(documents.map(({ text }) => text)).toEqual(["a", "b"]);
    expect(rejections).toMatchObject([{ cause: "corrupt-gzip", line: 3 }]);
    expect(summary.sha256).toBe(createHash("sha256").update(broken).digest("hex"));
  });

  it("rejects a file that is not gzip, once", async () => {
    const { documents, rejections } = await read(Buffer.from(line("plain").repeat(10_000)));
    expect(documents).toEqual([]);
    expect(rejections).toMatchObject([{ cause: "not-gzip", line: 1 }]);
  });

  it("lets a line of 50 MB stream by", async () => {
    const compressed = gzipSync(`${line("before")}${line("x".repeat(50e6))}${line("after")}`, { level: 1 });
    const { documents, rejections } = await read(compressed);
    expect(documents).toEqual([
      { text: "before", line: 1 },
      { text: "after", line: 3 },
    ]);
    expect(rejections).toEqual([
      { cause: "line-too-long", line: 2, detail: expect.stringMatching(/500000\d\d bytes, the limit is 2097152/) },
    ]);
  });

  it("rejects what cannot be opened or read", async () => {
    const nothing = { documents: [], summary: { bytes: 0, lines: 0 } };
    const vanished = await readPath(join(folder, "vanished.json.gz"));
    expect(vanished).toMatchObject({ ...nothing, rejections: [{ cause: "unreadable", line: 1 }] });
    expect(vanished.rejections[0].detail).toMatch(/ENOENT/);
    expect(await readPath(folder)).toMatchObject({ ...nothing, rejections: [{ cause: "unreadable", line: 1 }] });
  });
});
