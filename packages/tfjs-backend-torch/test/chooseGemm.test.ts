// The choice of kernels for matrix products: measured once, kept, and weaker than TFJS_TORCH_GEMM.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chooseGemm, gemmFile } from "../src/chooseGemm.js";
import type { GemmChoice } from "../src/native.js";

let cache: string;
const addonPath = new URL(import.meta.url).pathname;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "gemm-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
  vi.stubEnv("TFJS_TORCH_GEMM", undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

/** An addon whose bfloat16 kernels have these rates, and what its CPU's features suggest. */
function addonOf(bfloat16: Record<string, number>, suggested = "library") {
  const gemm: GemmChoice = { bfloat16: suggested, float32: "library" };
  const addon = {
    measurements: 0,
    gemm,
    info: () => ({ torchVersion: "2.13.0", gemm: { ...gemm } }),
    measureGemm: () => {
      addon.measurements++;
      return { bfloat16, float32: { library: 100 } };
    },
    setGemm: (type: keyof GemmChoice, name: string) => {
      if (type === "bfloat16" && !(name in bfloat16)) throw new Error(`no kernels ${name}`);
      gemm[type] = name;
    },
  };
  return addon;
}

test("the fastest kernels are taken, and measured once", () => {
  const first = addonOf({ library: 100, avx512: 130 });
  chooseGemm(first, addonPath);
  expect(first.gemm).toEqual({ bfloat16: "avx512", float32: "library" });
  // Another process, on a busier machine.
  const second = addonOf({ library: 100, avx512: 10 });
  chooseGemm(second, addonPath);
  expect(second.gemm).toEqual(first.gemm);
  expect([first.measurements, second.measurements]).toEqual([1, 0]);
  expect(readdirSync(join(cache, "mswitch"))).toHaveLength(1);
});

test("a small difference does not change what the CPU's features suggest", () => {
  const addon = addonOf({ library: 100, avx512: 110 });
  chooseGemm(addon, addonPath);
  expect(addon.gemm.bfloat16).toBe("library");
});

test("kernels that whole layers are made of give way to much faster ones only", () => {
  for (const [library, taken] of [
    [140, "avx512"],
    [180, "library"],
  ] as const) {
    const addon = addonOf({ library, avx512: 100 }, "avx512");
    vi.stubEnv("XDG_CACHE_HOME", join(cache, String(library)));
    chooseGemm(addon, addonPath);
    expect(addon.gemm.bfloat16).toBe(taken);
  }
});

test("a damaged file is measured anew, and one of unknown kernels leaves the suggestion", () => {
  const addon = addonOf({ library: 100, avx512: 130 });
  chooseGemm(addon, addonPath);
  const file = gemmFile("2.13.0", addonPath);
  writeFileSync(file, '{"choice":');
  const again = addonOf({ library: 100, avx512: 130 });
  chooseGemm(again, addonPath);
  expect(again).toMatchObject({ measurements: 1, gemm: { bfloat16: "avx512" } });
  const without = addonOf({ library: 100 });
  chooseGemm(without, addonPath);
  expect(without).toMatchObject({ measurements: 0, gemm: { bfloat16: "library" } });
});

test("nothing is measured where it cannot be kept, or where all kernels are asked for", () => {
  const addon = addonOf({ library: 100, avx512: 130 });
  const notAFolder = join(cache, "file");
  writeFileSync(notAFolder, "");
  vi.stubEnv("XDG_CACHE_HOME", notAFolder);
  chooseGemm(addon, addonPath);
  vi.stubEnv("XDG_CACHE_HOME", cache);
  vi.stubEnv("TFJS_TORCH_GEMM", "bfloat16:library,float32:library");
  chooseGemm(addon, addonPath);
  expect(addon).toMatchObject({ measurements: 0, gemm: { bfloat16: "library" } });
});
