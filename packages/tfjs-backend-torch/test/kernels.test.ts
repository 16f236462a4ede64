import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { asCpp } from "../scripts/emulateCuda.mjs";

const native = fileURLToPath(new URL("../native/", import.meta.url));
const sources = join(native, "cuda");
const checks = fileURLToPath(new URL("kernels/", import.meta.url));
const [compiler, ...options] = (process.env.CXX ?? "g++").trim().split(/\s+/);
const missing = spawnSync(compiler, [...options, "--version"]).status !== 0;

/** Compiles the kernels, changed by `edit`, with their checks, and runs them on the CPU. */
function runChecks(edit: (source: string) => string): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "tfjs-torch-kernels-"));
  try {
    const files = readdirSync(sources).filter((name) => name.endsWith(".cu"));
    const parts = files.map((name) => {
      const path = join(folder, name.replace(/\.cu$/, ".cc"));
      writeFileSync(path, asCpp(edit(readFileSync(join(sources, name), "utf8"))));
      return path;
    });
    const program = join(folder, "checks");
    const programs = ["checks.cc", "layers.cc"].map((name) => join(checks, name));
    const flags = ["-std=gnu++20", "-O1", "-Wall", `-I${join(checks, "include")}`, `-I${native}`];
    const built = spawnSync(compiler, [...options, ...flags, ...programs, ...parts, "-o", program], {
      encoding: "utf8",
    });
    if (built.status !== 0) throw new Error(built.stderr);
    const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8" });
    return { status, output: stdout + stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("CUDA sources launch kernels and call the runtime by cuda/launch.h only, which checks", () => {
  for (const name of readdirSync(sources).filter((file) => file.endsWith(".cu"))) {
    const source = readFileSync(join(sources, name), "utf8");
    expect(source).not.toMatch(/<<</);
    expect(source.match(/\bcuda[A-Z]\w*\(/g)?.length ?? 0).toBe(source.match(/\bcheck\(cuda[A-Z]/g)?.length ?? 0);
  }
});

// Every thread of a block runs as a fiber of its own: a minute on a quiet core.
describe.skipIf(missing)("the CUDA kernels, run on the CPU", { timeout: 400_000 }, () => {
  test("give what plain loops give, whatever the order of the threads", () => {
    expect(runChecks((source) => source)).toEqual({ status: 0, output: "0 failed\n" });
  });

  test("are caught where a barrier is missing", () => {
    const { status, output } = runChecks((source) => source.replaceAll("__syncthreads();", ""));
    expect(status).toBe(1);
    expect(output).toMatch(/FAILED Adafactor/);
  });
});
