// npm run conformance: TensorFlow.js's own tests, as published in @tensorflow/tfjs-core, on this backend.
//   CONFORMANCE_BACKEND=torch|torch:cpu|torch:cuda|cpu     which backend (torch:cpu)
//   CONFORMANCE_FILTER=text                                only specs whose name holds the text
// Ends with `N passed, N failed, N skipped`; exit code 1 when anything failed that skips.json does not list.
import { mkdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import Jasmine from "jasmine";

const here = dirname(fileURLToPath(import.meta.url));
const home = resolve(here, "..");
const { skips } = JSON.parse(readFileSync(join(here, "skips.json"), "utf8"));
const filter = process.env.CONFORMANCE_FILTER ?? "";

// One level below the package, as src is, so that the addon is found at the same relative path.
const bundle = join(home, "dist", "conformance.mjs");
mkdirSync(dirname(bundle), { recursive: true });
await build({
  entryPoints: [join(here, "specs.mjs")],
  outfile: bundle,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  mainFields: ["module", "main"],
  // The published package marks its test modules as free of side effects.
  ignoreAnnotations: true,
  logLevel: "error",
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
});

const jasmine = new Jasmine({ projectBaseDir: home });
jasmine.exitOnCompletion = false;
jasmine.clearReporters();
jasmine.env.configure({ random: false, specFilter: (spec) => spec.getFullName().includes(filter) });

// The first words of a spec's name are the describe's: its operation.
const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
const failures = [];
const used = new Set();
jasmine.addReporter({
  specStarted({ fullName }) {
    // Says where a crash of the whole process came from.
    if (process.env.CONFORMANCE_VERBOSE) writeSync(2, `${fullName}\n`);
  },
  specDone({ fullName, status, failedExpectations, pendingReason }) {
    if (status === "passed") counts.passed++;
    else if (status === "failed") {
      const skip = skips.find(({ spec }) => fullName.replace(/ torch[:\w]* \{\}/g, "").includes(spec));
      if (skip === undefined) {
        counts.failed++;
        failures.push({ fullName, message: failedExpectations[0]?.message?.split("\n").slice(0, 3).join(" | ") });
      } else {
        counts.skipped++;
        used.add(skip);
      }
    } else if (status === "pending" || (status === "excluded" && filter === "")) {
      counts.pending++;
      console.log(`set aside by TensorFlow.js itself: ${fullName} ${pendingReason ?? ""}`);
    }
  },
});

await import(pathToFileURL(bundle).href);
// The tests' own complaints about what they provoke would hide the result.
console.warn = () => {};
const error = console.error;
console.error = () => {};
await jasmine.execute();
console.error = error;

for (const { fullName, message } of failures) console.log(`FAILED ${fullName}\n       ${message}`);
writeFileSync(join(home, "dist", "conformance.json"), `${JSON.stringify({ counts, failures }, null, 2)}\n`);
for (const skip of skips) {
  if (!used.has(skip) && filter === "") console.log(`skips.json lists a spec that passes or is gone: ${skip.spec}`);
}
const { all, host } = globalThis.conformanceKernels;
const run = counts.passed + counts.failed + counts.skipped;
console.log(`${all.length} kernels, ${host.length} of them in JavaScript on the host`);
console.log(`${((100 * counts.passed) / run).toFixed(2)} % of ${run} specs pass`);
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + counts.pending} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;
