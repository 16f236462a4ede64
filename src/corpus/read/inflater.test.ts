import { constants, gunzipSync, gzipSync, type ZlibOptions } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Inflater } from "./inflater.js";

interface Result {
  output: Buffer;
  fault: string | undefined;
  mayEnd: boolean;
}

const inflater = new Inflater();

/**
 * Holds what came out against what zlib gives. Where there is a fault, zlib may have decoded some more bytes out of the very byte that shows it,
 * and drops them.
 */
function expectSame(found: Result, zlib: Result): void {
  const { output } = found;
  expect({ ...found, output: zlib.fault ? output.subarray(0, zlib.output.length) : output }).toEqual(zlib);
  expect(output.length - zlib.output.length).toBeLessThan(4 * 258);
}

function inflate(compressed: Uint8Array, chunkBytes = compressed.length): Result {
  inflater.start();
  const pieces: Buffer[] = [];
  for (let i = 0; i < compressed.length; i += chunkBytes) {
    for (const piece of inflater.inflate(compressed.subarray(i, i + chunkBytes))) pieces.push(Buffer.from(piece));
  }
  const { fault, mayEnd } = inflater;
  return { output: Buffer.concat(pieces), fault, mayEnd };
}

/** The same by Node's zlib, which drops what the call that meets a fault has decoded: so all bytes before the fault go into one of their own. */
function byZlib(compressed: Uint8Array): Result {
  const before = (length: number) =>
    gunzipSync(compressed.subarray(0, length), { finishFlush: constants.Z_SYNC_FLUSH });
  const faultOf = (length: number): string | undefined => {
    try {
      before(length);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const fault = faultOf(compressed.length);
  let good = 0;
  for (let bad = compressed.length + (fault === undefined ? 1 : 0); bad - good > 1; ) {
    const middle = (good + bad) >> 1;
    if (faultOf(middle) === undefined) good = middle;
    else bad = middle;
  }
  let mayEnd = false;
  try {
    gunzipSync(compressed);
    mayEnd = compressed.length > 0;
  } catch {}
  return { output: good === 0 ? Buffer.alloc(0) : before(good), fault, mayEnd };
}

/** From noise to what repeats itself at all distances. */
const data = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.map((byte) => 97 + (byte & 3))),
      fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.integer({ min: 1, max: 60 })).map(repeated),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat([...parts, ...parts.slice(0, 3)]));
const { Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants;
const options: fc.Arbitrary<ZlibOptions> = fc.record({
  level: fc.constantFrom(0, 1, 6, 9),
  strategy: fc.constantFrom(Z_DEFAULT_STRATEGY, Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE),
  // Small blocks, so that there are many of them.
  memLevel: fc.constantFrom(1, 9),
});
const gzip = fc.tuple(data, options).map(([data, options]) => gzipSync(data, options));

function repeated([bytes, times]: [Uint8Array, number]): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}

/** A gzip header with all that it may have. */
function fullHeader(member: Buffer, flags: number, extra: Uint8Array, checksum?: number): Buffer {
  const parts = [Buffer.from(member.subarray(0, 10))];
  parts[0][3] = flags;
  if (flags & 4) parts.push(Buffer.from([extra.length & 255, extra.length >> 8]), Buffer.from(extra));
  if (flags & 8) parts.push(Buffer.from("a name\0"));
  if (flags & 16) parts.push(Buffer.from("a comment\0"));
  if (flags & 2) parts.push(Buffer.from([(checksum ?? 0) & 255, (checksum ?? 0) >> 8]));
  return Buffer.concat([...parts, member.subarray(10)]);
}

function crc32(bytes: Uint8Array): number {
  return gzipSync(bytes).readUInt32LE(gzipSync(bytes).length - 8);
}

describe("Inflater", () => {
  it("does as zlib does with all kinds of blocks, in chunks of any size", () => {
    fc.assert(
      fc.property(fc.array(gzip, { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 400 }), (members, size) => {
        const compressed = Buffer.concat(members);
        const expected = byZlib(compressed);
        expect(expected.mayEnd).toBe(true);
        expectSame(inflate(compressed, size), expected);
      }),
      { numRuns: 200 },
    );
  });

  it("does as zlib does with a stream cut at any byte", () => {
    const compressed = Buffer.concat([
      gzipSync("abcabcabcabd".repeat(5), { strategy: Z_FIXED }),
      gzipSync(Buffer.from(Array.from({ length: 300 }, (_, i) => (i * i) % 97)), { memLevel: 1 }),
      gzipSync("stored", { level: 0 }),
    ]);
    for (let length = 0; length <= compressed.length; length++) {
      const cut = compressed.subarray(0, length);
      for (const size of [1, 7, 1000]) expectSame(inflate(cut, size), byZlib(cut));
    }
  });

  it("does as zlib does with bits that were flipped and bytes that were changed, up to the same fault", () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }));
    // Blocks' heads, where most faults are, lie at the front.
    const early = change.map(([at, bits]): [number, number] => [10 + (at % 80), bits]);
    fc.assert(
      fc.property(
        gzip,
        fc.array(fc.oneof(change, early), { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 64, 1e6),
        (whole, changes, size) => {
          const damaged = Buffer.from(whole);
          for (const [at, bits] of changes) damaged[at % damaged.length] ^= bits;
          expectSame(inflate(damaged, size), byZlib(damaged));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("does as zlib does with noise for a block", () => {
    const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 }), fc.uint8Array({ maxLength: 200 }), (type, noise) => {
        const compressed = Buffer.concat([head, noise]);
        if (noise.length > 0) compressed[10] = (compressed[10] & ~7) | type;
        expectSame(inflate(compressed), byZlib(compressed));
      }),
      { numRuns: 500 },
    );
  });

  it("does as zlib does with all that a header may hold", () => {
    const member = gzipSync("abc");
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.uint8Array({ maxLength: 400 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 50 }),
        (flags, extra, right, size) => {
          const known = flags & 0x1f;
          const bare = fullHeader(member, known & ~2, extra);
          const end = bare.length - (member.length - 10);
          bare[3] = known;
          const checksum = crc32(bare.subarray(0, end)) & 0xffff;
          const compressed = fullHeader(member, flags, extra, right ? checksum : checksum ^ 1);
          const expected = byZlib(compressed);
          expectSame(inflate(compressed, size), expected);
          if (flags < 0x20 && (right || (flags & 2) === 0)) expect(expected.output.toString()).toBe("abc");
        },
      ),
      { numRuns: 500 },
    );
  });

  it("reaches back as far as matches may, over pieces and chunks", () => {
    const noise = Buffer.from(Array.from({ length: 32768 }, (_, i) => (i * 2654435761) >>> 11));
    const parts: Buffer[] = [noise];
    for (let i = 0; i < 40; i++) parts.push(noise.subarray(i, 300 + i), noise.subarray(0, 32768 - 300 - (i % 7)));
    const whole = Buffer.concat([...parts, Buffer.alloc(300_000, "ab"), Buffer.alloc(300_000), noise]);
    for (const level of [1, 9]) {
      const { output, fault, mayEnd } = inflate(gzipSync(whole, { level }), 100_000);
      expect({ same: output.equals(whole), fault, mayEnd }).toEqual({ same: true, fault: undefined, mayEnd: true });
    }
  });

  it("does not reach into the member before", () => {
    // A fixed block that begins with a match of three bytes at distance 1.
    const match = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x03, 0x02, 0, 0]);
    const compressed = Buffer.concat([gzipSync("abc"), match]);
    const expected = byZlib(compressed);
    expect(expected.fault).toBe("invalid distance too far back");
    expectSame(inflate(compressed), expected);
  });

  it("passes over zeros after a member, and refuses anything else that is no member", () => {
    const padded = Buffer.concat([gzipSync("abc"), Buffer.alloc(9), gzipSync("def"), Buffer.alloc(3)]);
    const garbage = Buffer.concat([gzipSync("abc"), Buffer.from("\0garbage")]);
    for (const size of [1, 1000]) {
      expect(inflate(padded, size)).toEqual({ output: Buffer.from("abcdef"), fault: undefined, mayEnd: true });
      const fault = "incorrect header check";
      expect(inflate(garbage, size)).toEqual({ output: Buffer.from("abc"), fault, mayEnd: false });
    }
  });
});
