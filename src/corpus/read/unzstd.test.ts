import { execFileSync, spawnSync } from "node:child_process";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { rawFrame, rleFrame } from "../../../test/fixtures/zstdFixture.js";
import { StreamFault } from "./readCompressed.js";
import { unzstd } from "./unzstd.js";

async function decode(compressed: Uint8Array, size = 32 * 1024) {
  function* open(): Generator<Uint8Array> {
    for (let i = 0; i < compressed.length; i += size) yield compressed.subarray(i, i + size);
  }
  const pieces: Uint8Array[] = [];
  let fault: StreamFault | undefined;
  let largest = 0;
  let seen = 0;
  try {
    for await (const piece of unzstd({ open, onCompressed: (chunk) => (seen += chunk.length) })) {
      pieces.push(Uint8Array.from(piece));
      largest = Math.max(largest, piece.length);
      // The caller may write into what it was given.
      piece.fill(0);
    }
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    fault = error;
  }
  return { output: Buffer.concat(pieces), fault: fault?.rejection, detail: fault?.message, largest, seen };
}

/** The reference implementation, where the machine has it. */
const hasZstd = spawnSync("zstd", ["--version"]).status === 0;
const zstd = (data: Uint8Array, ...options: string[]): Buffer =>
  execFileSync("zstd", ["-q", "-c", ...options], { input: data, maxBuffer: 2 ** 28 });

const text = Buffer.from(
  Array.from({ length: 15_000 }, (_, i) => `{"text":"${(i * 2654435761) % 9973} ሰላም"}`).join("\n"),
);

describe("unzstd", () => {
  it("decodes frames of raw and repeated blocks, skippable frames between them, whatever the chunks", async () => {
    const content = fc.uint8Array({ maxLength: 400 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(20),
        async (contents, size, skipped) => {
          const skippable = Buffer.concat([
            Buffer.from([0x53, 0x2a, 0x4d, 0x18, skipped, 0, 0, 0]),
            Buffer.alloc(skipped),
          ]);
          const frames = contents.flatMap((bytes) => [rawFrame(bytes), skippable, rleFrame(bytes.length % 256, 300)]);
          const expected = contents.flatMap((bytes) => [Buffer.from(bytes), Buffer.alloc(300, bytes.length % 256)]);
          const { output, fault, seen } = await decode(Buffer.concat(frames), size);
          expect(fault).toBeUndefined();
          expect(output.equals(Buffer.concat(expected))).toBe(true);
          expect(seen).toBe(Buffer.concat(frames).length);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("gives a bomb out block by block", async () => {
    const bomb = Buffer.concat(Array.from({ length: 500 }, () => rleFrame(0x61, 128 * 1024)));
    const { output, largest } = await decode(bomb);
    expect(output.length).toBe(500 * 128 * 1024);
    expect(largest).toBe(128 * 1024);
  });

  it("tells what is not Zstandard, what is cut, and what claims too much", async () => {
    const whole = rawFrame(Buffer.from("abc\n"));
    expect(await decode(Buffer.from('{"text":"a"}\n'))).toMatchObject({ fault: "not-zstd" });
    expect(await decode(Buffer.from("PK"))).toMatchObject({ fault: "not-zstd" });
    expect(await decode(Buffer.alloc(0))).toMatchObject({ fault: "truncated-zstd" });
    for (let end = 1; end < whole.length; end++) {
      expect(await decode(whole.subarray(0, end))).toMatchObject({ fault: "truncated-zstd" });
    }
    expect(await decode(Buffer.concat([whole, Buffer.from("garbage garbage")]))).toMatchObject({
      fault: "corrupt-zstd",
      output: Buffer.from("abc\n"),
    });
    // A window of 1.9 TB, then one of 64 MB.
    for (const descriptor of [0xf7, 0x80]) {
      const huge = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor, 0x01, 0x00, 0x00]);
      expect(await decode(huge)).toMatchObject({ fault: "zstd-window", detail: expect.stringContaining("--long") });
    }
    // A block of 2 MB.
    const block = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xfb, 0xff, 0xff, 0x61]);
    expect(await decode(block)).toMatchObject({ fault: "corrupt-zstd" });
  });

  describe.skipIf(!hasZstd)("on what the zstd command writes", () => {
    let whole: Buffer;
    beforeAll(() => {
      whole = zstd(text);
    });

    it.each([["-1"], ["-19"], ["--no-check"], ["--fast=5"], ["--long=24"]])("decodes %s", async (...options) => {
      for (const size of [3000, 32 * 1024]) {
        const { output, fault } = await decode(zstd(text, ...options), size);
        expect(fault).toBeUndefined();
        expect(output.equals(text)).toBe(true);
      }
      expect((await decode(zstd(Buffer.alloc(0), ...options))).fault).toBeUndefined();
    });

    it("gives the whole blocks of a file cut at any byte", async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length - 1), async (end) => {
          const { output, fault } = await decode(whole.subarray(0, end));
          expect(fault).toBe("truncated-zstd");
          expect(output.equals(text.subarray(0, output.length))).toBe(true);
        }),
        { numRuns: 20 },
      );
      expect((await decode(whole.subarray(0, -1))).output.length).toBeGreaterThan(128 * 1024);
    });

    it("finds every flipped bit, by the checksum where nothing else shows it", async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
          const flipped = Buffer.from(whole);
          flipped[at] ^= 1 << bit;
          const { output, fault } = await decode(flipped);
          // The header's flags may be flipped so that nothing is left to check; then the text is the same.
          if (fault === undefined) expect(output.equals(text)).toBe(true);
        }),
        { numRuns: 80 },
      );
    });

    it("decodes frames one after the other", async () => {
      const { output, fault } = await decode(Buffer.concat([whole, zstd(Buffer.from("end\n")), whole]));
      expect(fault).toBeUndefined();
      expect(output.equals(Buffer.concat([text, Buffer.from("end\n"), text]))).toBe(true);
    });
  });
});
