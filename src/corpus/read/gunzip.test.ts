import { constants, gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gunzip } from "./gunzip.js";
import { StreamFault } from "./readCompressed.js";

/** What comes out of compressed bytes cut into chunks of the given sizes, taken in turn. */
async function inflate(compressed: Uint8Array, sizes: number[], failAfter = Number.POSITIVE_INFINITY) {
  function* open(): Generator<Uint8Array> {
    for (let i = 0, n = 0; i < compressed.length; n++) {
      if (n >= failAfter) throw new StreamFault("unreadable", "EIO: i/o error");
      const size = sizes[n % sizes.length];
      yield compressed.subarray(i, i + size);
      i += size;
    }
  }
  const pieces: Uint8Array[] = [];
  const seen: Uint8Array[] = [];
  let fault: StreamFault | undefined;
  try {
    for await (const piece of gunzip({ open, onCompressed: (chunk) => seen.push(chunk) })) pieces.push(piece);
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    fault = error;
  }
  return { output: Buffer.concat(pieces), seen: Buffer.concat(seen), fault: fault?.rejection };
}

const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 });
/** Compressible and incompressible data, up to 200 times as large as its input. */
const data = fc
  .tuple(fc.uint8Array({ maxLength: 500 }), fc.integer({ min: 1, max: 200 }))
  .map(([bytes, times]) => Buffer.concat(Array.from({ length: times }, () => bytes)));

describe("gunzip", () => {
  it("inflates members one after the other, with padding, whatever the chunks", async () => {
    const members = fc.array(data, { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(members, fc.nat(600), sizes, async (members, padding, sizes) => {
        const compressed = Buffer.concat([...members.map((member) => gzipSync(member)), Buffer.alloc(padding)]);
        const { output, seen, fault } = await inflate(compressed, sizes);
        expect(fault).toBeUndefined();
        expect(output.equals(Buffer.concat(members))).toBe(true);
        expect(seen.equals(compressed)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it("gives all that can be decoded of a file cut at any byte", async () => {
    await fc.assert(
      fc.asyncProperty(
        data,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        sizes,
        async (data, at, sizes) => {
          const whole = gzipSync(data);
          const cut = whole.subarray(0, Math.floor(at * whole.length));
          const { output, fault } = await inflate(cut, sizes);
          expect(fault).toBe("truncated-gzip");
          const decodable =
            cut.length < 10 ? Buffer.alloc(0) : gunzipSync(cut, { finishFlush: constants.Z_SYNC_FLUSH });
          expect(output.equals(decodable)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("gives all of a file whose checksum is wrong, and sees the file to its end", async () => {
    await fc.assert(
      fc.asyncProperty(
        data,
        fc.integer({ min: 1, max: 8 }),
        fc.nat(500),
        sizes,
        async (data, fromEnd, after, sizes) => {
          const broken = gzipSync(data);
          broken[broken.length - fromEnd] ^= 1;
          const compressed = Buffer.concat([broken, Buffer.alloc(after, "x")]);
          const { output, seen, fault } = await inflate(compressed, sizes);
          expect(fault).toBe("corrupt-gzip");
          expect(output.equals(data)).toBe(true);
          expect(seen.equals(compressed)).toBe(true);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("gives what comes before a fault in the data", async () => {
    const data = Buffer.alloc(200_000, "abcdefghij");
    const stored = gzipSync(data, { level: 0 });
    // The second stored block's length no longer agrees with its complement.
    const second = 10 + 5 + stored.readUInt16LE(11);
    const first = second - 15;
    stored[second + 1] ^= 0xff;
    const { output, fault } = await inflate(stored, [32 * 1024]);
    expect(fault).toBe("corrupt-gzip");
    expect(output.equals(data.subarray(0, first))).toBe(true);
  });

  it("keeps the members before trailing garbage", async () => {
    const compressed = Buffer.concat([gzipSync("one\n"), gzipSync("two\n"), Buffer.from("garbage")]);
    expect(await inflate(compressed, [1000])).toMatchObject({
      output: Buffer.from("one\ntwo\n"),
      fault: "corrupt-gzip",
    });
  });

  it("tells what is no gzip from what is none yet", async () => {
    expect(await inflate(Buffer.from('{"text":"a"}\n'), [1])).toMatchObject({
      output: Buffer.alloc(0),
      fault: "not-gzip",
    });
    expect((await inflate(Buffer.from("PK"), [64])).fault).toBe("not-gzip");
    expect((await inflate(Buffer.from([0x1f, 0x9d, 0x90]), [64])).fault).toBe("not-gzip");
    expect((await inflate(Buffer.alloc(0), [64])).fault).toBe("truncated-gzip");
    expect((await inflate(Buffer.from([0x1f]), [64])).fault).toBe("truncated-gzip");
  });

  it("keeps what was read before an error of the file system", async () => {
    const { output, fault } = await inflate(gzipSync("abc".repeat(1000), { level: 0 }), [500], 3);
    expect(fault).toBe("unreadable");
    expect(output.toString()).toBe("abc".repeat(1000).slice(0, 1500 - 15));
  });

  it("can be left early", async () => {
    function* open(): Generator<Uint8Array> {
      for (;;) yield gzipSync("abc");
    }
    for await (const piece of gunzip({ open, onCompressed: () => undefined })) {
      expect(Buffer.from(piece).toString()).toBe("abc");
      break;
    }
  });
});
