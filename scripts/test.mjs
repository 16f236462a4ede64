// Runs the tests and ends with one line: `N passed, N failed`. Arguments go to vitest: node scripts/test.mjs src/stream
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { oraclePython } from "./oraclePython.mjs";

const env = { ...process.env };
// Tests against Python peers run where this is set; scripts/setup-oracles makes the environment.
const python = oraclePython();
if (python) env.MSWITCH_PYTHON = python;

const folder = mkdtempSync(join(tmpdir(), "mswitch-test-"));
const report = join(folder, "report.json");
const vitest = join("node_modules", "vitest", "vitest.mjs");
const args = [
  vitest,
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit", env });

let failed = status === 0 ? 0 : 1;
let passed = 0;
let skipped = 0;
if (existsSync(report)) {
  const result = JSON.parse(readFileSync(report, "utf8"));
  passed = result.numPassedTests;
  skipped = result.numPendingTests + result.numTodoTests;
  // A file that could not be loaded counts as one failure: it has no tests of its own.
  const broken = result.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  failed = Math.max(failed, result.numFailedTests + broken);
}
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);
