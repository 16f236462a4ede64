// The module that bundle.mjs makes: TensorFlow.js's own tests on one backend of this package, with node alone. Flags of run.mjs.
import { writeFileSync, writeSync } from "node:fs";
// The file: jasmine-core's entry reads others when it runs.
import jasmineRequire from "jasmine-core/lib/jasmine-core/jasmine.js";
import skipList from "./skips.json";

const jasmine = jasmineRequire.core(jasmineRequire);
const env = jasmine.getEnv({ suppressLoadErrors: true });
Object.assign(globalThis, jasmineRequire.interface(jasmine, env));
const filter = process.env.CONFORMANCE_FILTER ?? "";
env.configure({ random: false, specFilter: (spec) => spec.getFullName().includes(filter) });

const backendName = process.env.CONFORMANCE_BACKEND ?? "torch:cpu";
const skips = skipList[backendName.replace(/:.*/, "")] ?? [];
// The first words of a spec's name are the describe's: its operation.
const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
const failures = [];
const used = new Set();
/** After one of these the CUDA context answers nothing any more: what follows would only seem to fail. */
const fatal = /device-side assert|illegal memory access|misaligned address|unspecified launch failure/;

function finish() {
  for (const { fullName, message } of failures) console.log(`FAILED ${fullName}\n       ${message}`);
  writeFileSync(new URL("./conformance.json", import.meta.url), `${JSON.stringify({ counts, failures }, null, 2)}\n`);
  for (const skip of skips) {
    if (!used.has(skip) && filter === "")
      console.log(`skips.json lists a spec that passes or is gone: ${skip.spec ?? skip.message}`);
  }
  const { all, host } = globalThis.conformanceKernels;
  const run = counts.passed + counts.failed + counts.skipped;
  if (backendName.startsWith("torch"))
    console.log(`${all.length} kernels, ${host.length} of them in JavaScript on the host`);
  console.log(`${((100 * counts.passed) / run).toFixed(2)} % of ${run} specs pass`);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + counts.pending} skipped`);
}

env.addReporter({
  specStarted({ fullName }) {
    // Says where a crash of the whole process came from.
    if (process.env.CONFORMANCE_VERBOSE) writeSync(2, `${fullName}\n`);
  },
  specDone({ fullName, status, failedExpectations, pendingReason }) {
    if (status === "passed") counts.passed++;
    else if (status === "failed") {
      const name = fullName.replaceAll(` ${backendName} {}`, "");
      const said = failedExpectations.map(({ message }) => message ?? "").join("\n");
      const skip = skips.find(({ spec, message }) =>
        spec === undefined ? said.includes(message) : name.includes(spec),
      );
      if (skip === undefined) {
        counts.failed++;
        failures.push({ fullName, message: failedExpectations[0]?.message?.split("\n").slice(0, 3).join(" | ") });
      } else {
        counts.skipped++;
        used.add(skip);
      }
      if (failedExpectations.some(({ message }) => fatal.test(message ?? ""))) {
        console.log(`CUDA ended in: ${fullName}`);
        finish();
        process.exit(2);
      }
    } else if (status === "pending" || (status === "excluded" && filter === "")) {
      counts.pending++;
      console.log(`set aside by TensorFlow.js itself: ${fullName} ${pendingReason ?? ""}`);
    }
  },
});

await import("./specs.mjs");
// The tests' own complaints about what they provoke would hide the result.
console.warn = () => {};
const error = console.error;
console.error = () => {};
await env.execute();
console.error = error;
finish();
process.exit(counts.failed > 0 ? 1 : 0);
