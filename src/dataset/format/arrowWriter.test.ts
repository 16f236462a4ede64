import { closeSync, openSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sha256 } from "../../base/hash.js";
import { readTokenBlocks, type TokenBlocks } from "./arrowBlocks.js";
import { batchBuffers, TokenFileWriter } from "./arrowWriter.js";
import { type TokenType, tokenTypeFor } from "./tokenType.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-arrow-"));
});
afterAll(() => rm(dir, { recursive: true }));

async function write(name: string, tokenType: TokenType, documents: number[][]): Promise<string> {
  const path = join(dir, name);
  const file = openSync(path, "w");
  const writer = new TokenFileWriter(file, batchBuffers(tokenType), { source: "a.json.gz", language: "af" });
  for (const [i, ids] of documents.entries()) {
    if (writer.add(Uint32Array.from(ids), i + 1, ids.length * 3)) writer.flush();
  }
  const { bytes, sha256: hash } = writer.finish();
  closeSync(file);
  const written = await readFile(path);
  expect(bytes).toBe(written.length);
  expect(hash).toBe(sha256(written));
  return path;
}

function blocks(path: string): TokenBlocks {
  const fd = openSync(path, "r");
  try {
    return readTokenBlocks(fd, statSync(path).size, path);
  } finally {
    closeSync(fd);
  }
}

describe("TokenFileWriter", () => {
  it("narrows to 16 bits where the vocabulary fits", () => {
    expect(tokenTypeFor(65536)).toBe("uint16");
    expect(tokenTypeFor(65664)).toBe("uint32");
  });

  it.each(["uint16", "uint32"] as const)("writes rows that Arrow reads back as they were (%s)", async (tokenType) => {
    const documents = [[1, 2, 3], [], [65535], Array.from({ length: 1000 }, (_, i) => i)];
    const path = await write(`rows-${tokenType}.arrow`, tokenType, documents);
    const table = tableFromIPC(await readFile(path));
    expect(table.schema.fields.map((f) => `${f.name}: ${f.type}`)).toEqual([
      `tokens: List<${tokenType === "uint16" ? "Uint16" : "Uint32"}>`,
      "line: Uint32",
      "bytes: Uint32",
    ]);
    expect(Object.fromEntries(table.schema.metadata)).toEqual({ source: "a.json.gz", language: "af" });
    expect(table.toArray().map((row) => [...row.tokens])).toEqual(documents);
    expect([...table.getChild("line")!]).toEqual([1, 2, 3, 4]);
    expect([...table.getChild("bytes")!]).toEqual([9, 0, 3, 3000]);
  });

  it("bounds its record batches, by tokens and by documents, and lets a longer document stand alone", async () => {
    const long = Array.from({ length: 2 ** 20 + 2 ** 19 }, (_, i) => i % 251);
    const half = long.slice(0, 2 ** 19);
    const path = await write("batches.arrow", "uint16", [half, half, [7], long, ...Array(65537).fill([9])]);
    const { starts, width } = blocks(path);
    expect(width).toBe(2);
    expect([...starts]).toEqual([
      0,
      2 ** 20,
      2 ** 20 + 1 + long.length,
      2 ** 20 + 1 + long.length + 65536,
      2 ** 20 + 2 + long.length + 65536,
    ]);
    expect(tableFromIPC(await readFile(path)).numRows).toBe(65541);
  });

  it("writes a whole file for a shard without documents", async () => {
    const path = await write("empty.arrow", "uint16", []);
    expect(tableFromIPC(await readFile(path)).numRows).toBe(0);
    expect([...blocks(path).starts]).toEqual([0]);
  });

  it("writes the same bytes for the same rows", async () => {
    const documents = [[5, 6], [7]];
    const a = await write("same-a.arrow", "uint16", documents);
    const b = await write("same-b.arrow", "uint16", documents);
    expect(await readFile(a)).toEqual(await readFile(b));
  });
});

describe("readTokenBlocks", () => {
  it("finds the tokens' place in the file", async () => {
    const path = await write("place.arrow", "uint32", [[70000, 2], [3]]);
    const { positions, starts, width } = blocks(path);
    const bytes = await readFile(path);
    const ids = [0, 1, 2].map((i) => bytes.readUInt32LE(positions[0] + i * width));
    expect(ids).toEqual([70000, 2, 3]);
    expect([...starts]).toEqual([0, 3]);
  });

  it("refuses a file cut anywhere, naming it", async () => {
    const whole = await readFile(await write("whole.arrow", "uint16", [[1, 2, 3], [4]]));
    const cut = join(dir, "cut.arrow");
    for (let length = 0; length < whole.length; length += 3) {
      await writeFile(cut, whole.subarray(0, length));
      expect(() => blocks(cut), `cut at ${length}`).toThrow(
        expect.objectContaining({ code: "dataset-damaged", where: expect.stringContaining("cut.arrow") }),
      );
    }
  });

  it("answers or refuses by name whichever byte of the metadata is damaged, without reading outside the file", async () => {
    const whole = await readFile(await write("flip.arrow", "uint16", [[1, 2], [3]]));
    const path = join(dir, "flipped.arrow");
    let refused = 0;
    for (let i = 0; i < whole.length; i++) {
      const bytes = Buffer.from(whole);
      bytes[i] ^= [0x01, 0x80, 0xff][i % 3];
      await writeFile(path, bytes);
      try {
        const found = blocks(path);
        for (const [b, position] of found.positions.entries()) {
          const end = position + (found.starts[b + 1] - found.starts[b]) * found.width;
          expect(end).toBeLessThanOrEqual(whole.length);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: "dataset-damaged", where: expect.stringContaining("flipped.arrow") });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
  }, 120_000);

  it("refuses a file that is not Arrow", async () => {
    const path = join(dir, "text.arrow");
    await writeFile(path, "ARROW1 is how this text begins and ends ARROW1");
    expect(() => blocks(path)).toThrow(expect.objectContaining({ code: "dataset-damaged" }));
  });
});
