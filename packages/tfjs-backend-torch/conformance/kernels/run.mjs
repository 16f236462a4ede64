// npm run check:kernels: wrong calls of every operation of the addon, written from the operations' declarations.
//   --calls N     wrong calls of each operation (2000), and up to N / 4 that its declaration leaves open
//   --seed N      another seed than 1; `random` draws one and prints it
//   --only TEXT   operations whose name holds the text
// Each operation first runs valid calls; each wrong call is a valid one with one thing changed. It must end in an Error that names the
// operation and the argument; where sizes of two arguments disagree, one of them. Calls run in a child process: its death is a crash of the call that it wrote down last.
// What a declaration leaves open (ATen operations whose sizes libtorch compares) may succeed or end in libtorch's message: counted apart.
// Exit code 1 where anything is not as it must be.
import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
  },
});
const calls = Number(values.calls);
const seed = values.seed === "random" ? Date.now() % 2 ** 31 : Number(values.seed);
const folder = mkdtempSync(join(tmpdir(), "check-kernels-"));
const lastCall = join(folder, "call.json");
const total = { operations: 0, valid: 0, wrong: 0, named: 0, open: 0, openRefused: 0, crashes: 0, failures: 0 };

function fail(message) {
  total.failures++;
  if (total.failures <= 50) console.error(message);
}

/** Runs the operations from number `first`; gives the number of the one that the child died in, or null. */
function runFrom(first) {
  return new Promise((resolve) => {
    let current = first;
    let isDone = false;
    const options = { calls, seed, only: values.only, first, lastCall };
    const child = fork(fileURLToPath(new URL("child.mjs", import.meta.url)), [JSON.stringify(options)]);
    child.on("message", (message) => {
      if (message.done) isDone = true;
      else {
        current = message.number + 1;
        total.operations++;
        for (const key of ["valid", "wrong", "named", "open", "openRefused"]) total[key] += message[key];
        for (const failure of message.failures) fail(failure);
      }
    });
    child.on("exit", (code, signal) => {
      if (isDone && code === 0) return resolve(null);
      total.crashes++;
      fail(`crash (${signal ?? `exit code ${code}`}) in ${readFileSync(lastCall, "utf8").split("\0")[0]}`);
      resolve(current + 1);
    });
  });
}

const begin = performance.now();
for (let next = 0; next !== null; ) next = await runFrom(next);
rmSync(folder, { recursive: true });

const seconds = ((performance.now() - begin) / 1000).toFixed(1);
console.log(`seed ${seed}: ${total.operations} operations, ${total.valid} valid calls, in ${seconds} s`);
console.log(`${total.wrong} calls that a declaration refuses: ${total.named} errors with operation and argument`);
console.log(
  `${total.open} changed calls that no declaration refuses: ${total.openRefused} errors of the kernel or of libtorch, ` +
    `${total.open - total.openRefused} computed`,
);
console.log(`${total.crashes} crashes, ${total.failures} failures`);
process.exitCode = total.failures === 0 && total.operations > 0 ? 0 : 1;
