// Runs the tests and ends with one line: `N passed, N failed`. Arguments go to vitest: node scripts/test.mjs src/stream
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { oraclePython } from "./oraclePython.mjs";

const env = { ...process.env };
// Tests against Python peers run where this is set; scripts/setup-python makes the environment.
const python = oraclePython();
if (python) env.MSWITCH_PYTHON = python;

const total = { passed: 0, failed: 0, skipped: 0 };

/** Runs vitest in a folder and adds its counts to the total. */
function runTests(root, args) {
  const folder = mkdtempSync(join(tmpdir(), "mswitch-test-"));
  const report = join(folder, "report.json");
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [vitest, "run", "--root", root, ...reporters, ...args], {
    stdio: "inherit",
    env,
  });
  let failed = status === 0 ? 0 : 1;
  if (existsSync(report)) {
    const result = JSON.parse(readFileSync(report, "utf8"));
    total.passed += result.numPassedTests;
    total.skipped += result.numPendingTests + result.numTodoTests;
    // A file that could not be loaded counts as one failure: it has no tests of its own.
    const broken = result.testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.length === 0,
    ).length;
    failed = Math.max(failed, result.numFailedTests + broken);
  }
  total.failed += failed;
  rmSync(folder, { recursive: true, force: true });
}

runTests(".", process.argv.slice(2));
const torch = join("packages", "tfjs-backend-torch");
if (process.argv.length === 2) {
  if (existsSync(join(torch, "build", "Release", "tfjs_torch.node"))) runTests(torch, []);
  else console.error("optional, not built: the torch backend (see `mswitch doctor`). Its tests are left out.");
}
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);
