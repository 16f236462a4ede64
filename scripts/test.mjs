// Runs the tests and ends with one line: `N passed, N failed`. Arguments go to vitest: node scripts/test.mjs src/stream
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { oraclePython } from "./oraclePython.mjs";

const env = { ...process.env };
// Tests against Python peers run where this is set; scripts/setup-python makes the environment.
const python = oraclePython();
if (python) env.MSWITCH_PYTHON = python;

const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed, told once more at the very end: a log is often kept only in part. */
const failures = [];

/** Runs vitest in a folder and adds its counts to the total. */
function runTests(root, args) {
  const folder = mkdtempSync(join(tmpdir(), "mswitch-test-"));
  const report = join(folder, "report.json");
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [vitest, "run", "--root", root, ...reporters, ...args], {
    stdio: "inherit",
    // What tests leave behind goes with it.
    env: { ...env, TMPDIR: folder },
  });
  let failed = status === 0 ? 0 : 1;
  if (existsSync(report)) {
    const result = JSON.parse(readFileSync(report, "utf8"));
    total.passed += result.numPassedTests;
    total.skipped += result.numPendingTests + result.numTodoTests;
    failed = Math.max(failed, result.numFailedTests + result.testResults.filter(isBroken).length);
    for (const file of result.testResults) failures.push(...failuresOf(file));
  }
  total.failed += failed;
  rmSync(folder, { recursive: true, force: true });
}

/** Whether a file failed without a failed test, as where it could not be loaded or what its tests need could not be made: that is one failure. */
const isBroken = ({ status, assertionResults }) =>
  status === "failed" && assertionResults.every((test) => test.status !== "failed");

/** The failed tests of one file of a vitest report, each with the first lines of its error. */
function failuresOf(file) {
  const where = relative(process.cwd(), file.name);
  if (isBroken(file))
    return [`${where}\n${firstLines(file.message) || "what its tests need could not be made: its error is above"}`];
  return file.assertionResults
    .filter((test) => test.status === "failed")
    .map((test) => `${where} > ${test.fullName}\n${firstLines(test.failureMessages.join("\n"))}`);
}

const firstLines = (text) => text.split("\n").slice(0, 8).join("\n");

runTests(".", process.argv.slice(2));
const torch = join("packages", "tfjs-backend-torch");
if (process.argv.length === 2) {
  if (existsSync(join(torch, "build", "Release", "tfjs_torch.node"))) runTests(torch, []);
  else console.error("optional, not built: the torch backend (see `mswitch doctor`). Its tests are left out.");
}
for (const failure of failures) console.log(`FAILED ${failure}`);
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);
