// The small run of `npm run check:kernels` (conformance/kernels/run.mjs): wrong calls of every operation, in a child process.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { nativeSignatures } from "../src/native.js";

test("20 wrong calls of each operation end in errors that name operation and argument", () => {
  const program = fileURLToPath(new URL("../conformance/kernels/run.mjs", import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, "--calls", "20"], { encoding: "utf8" });
  const operations = nativeSignatures().length;
  expect(stdout, stderr).toContain(`${operations} operations`);
  expect(stdout, stderr).toContain(`${20 * operations} calls that a declaration refuses`);
  expect(stdout, stderr).toContain("0 crashes, 0 failures");
  expect(status).toBe(0);
});
