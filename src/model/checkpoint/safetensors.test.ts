import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors, type TensorSource, writeSafetensors } from "./safetensors.js";

let directory: string;
let path: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "mswitch-"));
  path = join(directory, "a.safetensors");
});
afterAll(() => rmSync(directory, { recursive: true }));

const tensors: TensorSource[] = [
  { name: "b", shape: [2, 3], dtype: "F32", values: async () => Float32Array.of(1, 2, 3, 4, 5, 6) },
  { name: "ä", shape: [], dtype: "F32", values: async () => Float32Array.of(7) },
  { name: "empty", shape: [0, 4], dtype: "F32", values: async () => new Float32Array(0) },
  { name: "i", shape: [2], dtype: "I32", values: async () => Int32Array.of(-1, 2 ** 31 - 1) },
];

/** A file with this header and so many bytes of data. */
function writeRaw(header: unknown, dataBytes: number, length?: bigint): void {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(json.length));
  writeFileSync(path, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
}

const tensor = (shape: unknown, from: number, to: number, dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe("safetensors", () => {
  it("come back as written", async () => {
    await writeSafetensors(path, tensors, { format: "pt" });
    const file = await openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt" });
    expect([...file.tensors.keys()]).toEqual(["b", "ä", "empty", "i"]);
    expect([...(await file.readFloat("b"))]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(await file.readFloat("ä"))]).toEqual([7]);
    expect((await file.readFloat("empty")).length).toBe(0);
    expect([...(await file.readInt("i"))]).toEqual([-1, 2 ** 31 - 1]);
    await expect(file.readFloat("i")).rejects.toThrow('tensor "i" is I32, expected F32 or F16 or BF16');
    await expect(file.readInt("absent")).rejects.toThrow('holds no tensor "absent"');
    await file.close();
  });

  it("are the same bytes each time", async () => {
    await writeSafetensors(path, tensors);
    const first = readFileSync(path);
    await writeSafetensors(path, tensors);
    expect(readFileSync(path).equals(first)).toBe(true);
  });

  it.each([
    ["a header longer than the file", {}, 0, 2n ** 40n, /header length/],
    ["a header length beyond what a number holds", {}, 0, 2n ** 64n - 1n, /header length/],
    ["a header that is not JSON", "{", 0, undefined, /not JSON/],
    ["a header that is no object", "[1]", 0, undefined, /header entry/],
    ["a tensor past the end", { a: tensor([2], 0, 8) }, 4, undefined, /"a" lies at bytes .* truncated/],
    ["a tensor that ends before it begins", { a: tensor([2], 8, 0) }, 8, undefined, /"a" lies at bytes/],
    [
      "a shape that is not the data's",
      { a: tensor([3], 0, 8) },
      8,
      undefined,
      /"a" of shape \[3\] .* needs 12 bytes but has 8/,
    ],
    ["a shape whose size overflows", { a: tensor([2 ** 40, 2 ** 40], 0, 8) }, 8, undefined, /"a" of shape/],
    ["a negative size", { a: tensor([-1, -2], 0, 8) }, 8, undefined, /header entry "a/],
    ["a fraction", { a: tensor([2.5], 0, 10) }, 12, undefined, /header entry "a/],
    ["tensors that overlap", { a: tensor([2], 0, 8), b: tensor([2], 4, 12) }, 12, undefined, /"a" and "b" overlap/],
    ["a hole before the first", { a: tensor([2], 4, 12) }, 12, undefined, /before tensor "a", belong to no tensor/],
    [
      "a hole between two",
      { a: tensor([1], 0, 4), b: tensor([1], 8, 12) },
      12,
      undefined,
      /before tensor "b", belong to no tensor/,
    ],
    ["bytes after the last tensor", { a: tensor([2], 0, 8) }, 9, undefined, /after the last tensor/],
    ["bytes and no tensor", {}, 8, undefined, /after the last tensor/],
    [
      "a tensor given twice",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      undefined,
      /gives a key twice/,
    ],
    [
      "a tensor's key given twice",
      '{"a:\\"b":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
      undefined,
      /gives a key twice/,
    ],
    ["a dtype of no use", { a: tensor([1], 0, 8, "F64") }, 8, undefined, /"a" is F64/],
    ["a name from the prototype as dtype", { a: tensor([1], 0, 8, "toString") }, 8, undefined, /"a" is toString/],
  ])("with %s are refused", async (_, header, bytes, length, why) => {
    writeRaw(header, bytes, length);
    await expect(openSafetensors(path)).rejects.toMatchObject({
      code: "weights-invalid",
      where: path,
      why: expect.stringMatching(why),
    });
  });

  it("that are absent, empty or a directory are refused by name", async () => {
    writeFileSync(path, "1234");
    await expect(openSafetensors(path)).rejects.toMatchObject({ code: "weights-invalid" });
    await expect(openSafetensors(join(directory, "absent"))).rejects.toThrow(/absent/);
    await expect(openSafetensors(directory)).rejects.toThrow(directory);
  });

  it("with any byte of the header changed are refused or read within the file, never worse", async () => {
    await writeSafetensors(path, tensors);
    const good = readFileSync(path);
    const headerEnd = 8 + Number(good.readBigUInt64LE());
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: headerEnd - 1 }),
        fc.integer({ min: 0, max: 255 }),
        async (at, byte) => {
          const bad = Buffer.from(good);
          bad[at] = byte;
          writeFileSync(path, bad);
          const file = await openSafetensors(path).catch((error: Error) => {
            expect(error.name).toBe("MswitchError");
          });
          if (!file) return;
          for (const { begin, end } of file.tensors.values()) expect(begin <= end && end <= bad.length).toBe(true);
          await file.close();
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });
});
