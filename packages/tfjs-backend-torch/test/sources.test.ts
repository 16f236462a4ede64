// What no compiler checks of the C++ and CUDA sources.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const native = fileURLToPath(new URL("../native/", import.meta.url));
const sources = readdirSync(native, { recursive: true, encoding: "utf8" }).filter((file) =>
  /\.(cc|h|cu|cuh)$/.test(file),
);

/** What libtorch's headers ask for. */
const ofLibtorch = ["USE_C10D_GLOO", "USE_C10D_NCCL"];

test("macros have the prefix of the package", () => {
  for (const file of sources) {
    const text = readFileSync(join(native, file), "utf8");
    for (const [, name] of text.matchAll(/^\s*#\s*define\s+(\w+)/gm)) {
      if (!ofLibtorch.includes(name)) expect(name, file).toMatch(/^TFJS_TORCH_/);
    }
  }
});

test("what turns warnings off is turned back in the same file", () => {
  for (const file of sources) {
    const text = readFileSync(join(native, file), "utf8");
    const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
    expect(count(/^TFJS_TORCH_INTRINSICS_BEGIN$/gm), file).toBe(count(/^TFJS_TORCH_INTRINSICS_END$/gm));
    if (file !== join("cpu", "target.h")) expect(text, file).not.toMatch(/pragma GCC diagnostic/i);
  }
});
