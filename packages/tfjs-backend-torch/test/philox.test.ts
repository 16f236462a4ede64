import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const [compiler, ...options] = (process.env.CXX ?? "g++").trim().split(/\s+/);
const missing = spawnSync(compiler, [...options, "--version"]).status !== 0;

test.skipIf(missing)("noise has the same bits by every instruction set", () => {
  const folder = mkdtempSync(join(tmpdir(), "tfjs-torch-philox-"));
  try {
    const program = join(folder, "philox");
    const flags = ["-std=gnu++20", "-O2", "-Wall", "-Wextra", "-fopenmp-simd", `-I${here("../native")}`];
    const built = spawnSync(compiler, [...options, ...flags, here("kernels/philox.cc"), "-o", program], {
      encoding: "utf8",
    });
    expect(built).toMatchObject({ status: 0, stderr: "" });
    expect(spawnSync(program, { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "0 failed\n" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
