// The part of `npm run check:sanitizers` that CI has time for: it builds an instrumented addon, which takes two minutes the first time.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("kernels are clean under the address and undefined-behaviour sanitizers", { timeout: 1_800_000 }, () => {
  const program = fileURLToPath(new URL("../scripts/checkSanitizers.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8" });
  if (stdout.includes("left out")) return;
  expect(stdout, stderr).toMatch(/sanitizers: tests of fast paths: clean/);
  expect(stdout, stderr).toMatch(/sanitizers: wrong calls: clean/);
  expect(status).toBe(0);
});
