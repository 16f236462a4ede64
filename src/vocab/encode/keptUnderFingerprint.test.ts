import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { keptUnderFingerprint, type SharedBytes } from "./keptUnderFingerprint.js";

let cacheHome: string;

beforeEach(() => {
  cacheHome = mkdtempSync(join(tmpdir(), "mswitch-"));
  vi.stubEnv("XDG_CACHE_HOME", cacheHome);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** Gets what is kept. Returns it and how often it had to be made. */
async function get(fingerprint = "f", format = "a-1", content = "what was made"): Promise<[string, number]> {
  let built = 0;
  const bytes = await keptUnderFingerprint(fingerprint, format, (): SharedBytes => {
    built++;
    const shared = new Uint8Array(new SharedArrayBuffer(content.length));
    shared.set(Buffer.from(content));
    return shared;
  });
  return [Buffer.from(bytes).toString(), built];
}

it("makes a thing once for each fingerprint and format", async () => {
  expect(await get()).toEqual(["what was made", 1]);
  expect(await get()).toEqual(["what was made", 0]);
  expect(await get("g", "a-1", "other")).toEqual(["other", 1]);
  expect(await get("f", "a-2", "newer")).toEqual(["newer", 1]);
  expect(await get()).toEqual(["what was made", 0]);
  expect(readdirSync(join(cacheHome, "mswitch")).sort()).toEqual(["f.a-1", "f.a-2", "g.a-1"]);
});

it("makes it again, and keeps it again, wherever the file was cut or a bit changed", async () => {
  await get();
  const path = join(cacheHome, "mswitch", "f.a-1");
  const whole = readFileSync(path);
  const damages = fc.oneof(
    fc.integer({ min: 0, max: whole.length - 1 }).map((length) => whole.subarray(0, length)),
    fc.tuple(fc.nat(whole.length - 1), fc.nat(7)).map(([at, bit]) => {
      const bytes = Buffer.from(whole);
      bytes[at] ^= 1 << bit;
      return bytes;
    }),
    fc.uint8Array({ minLength: 1, maxLength: 50 }).map((more) => Buffer.concat([whole, more])),
  );
  await fc.assert(
    fc.asyncProperty(damages, async (damaged) => {
      writeFileSync(path, damaged);
      expect(await get()).toEqual(["what was made", 1]);
      expect(readFileSync(path)).toEqual(whole);
    }),
    { numRuns: 60 },
  );
});

it("does without a cache directory where there can be none", async () => {
  const file = join(cacheHome, "file");
  writeFileSync(file, "");
  vi.stubEnv("XDG_CACHE_HOME", file);
  expect(await get()).toEqual(["what was made", 1]);
  expect(await get()).toEqual(["what was made", 1]);
});

it("keeps nothing of what cannot be made", async () => {
  expect(await keptUnderFingerprint("f", "a-1", () => undefined)).toBeUndefined();
  const failed = keptUnderFingerprint("f", "a-1", () => {
    throw new Error("no model");
  });
  await expect(failed).rejects.toThrow("no model");
  expect(readdirSync(cacheHome)).toEqual([]);
});
