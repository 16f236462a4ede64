// Everything there is to check on a GPU, with node alone: builds the torch backend against a CUDA PyTorch, holds it to the CPU and to
// Transformers on the device, and times training steps beside Transformers. A failure stops nothing but a build's. Ends with 1 where
// something failed.
//   npm run check:gpu, or node scripts/gpu/check.mjs [--backend torch:cuda:0] [--out DIR] [--no-timings] [--seconds 280] [--limit 120]
// Needs dist and its test modules: from `npm run build && node scripts/gpu/bundle.mjs`, or unpacked from pack.mjs's folder.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { oraclePython } from "../oraclePython.mjs";
import { parseFlags } from "../parseFlags.mjs";
import { elapsed, lastLines, sideBySide, stageRunner } from "./stages.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    backend: { type: "string", default: "torch:cuda:0" },
    out: { type: "string", default: process.env.OUT ?? join(tmpdir(), "mswitch-gpu") },
    "no-timings": { type: "boolean", default: false },
    // Timings begin only while this much has not passed.
    seconds: { type: "string", default: "280" },
    // Of one check; more on a busy machine.
    limit: { type: "string", default: "120" },
    // Sizes of the timings; small ones try the script itself on a CPU.
    batch: { type: "string", default: "64" },
    config: { type: "string", default: "dense,switch32" },
  },
});
process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
const backend = flags.backend;
const torch = "packages/tfjs-backend-torch";
const tests = "dist/gpu/tests";
if (!existsSync(tests)) {
  console.error(
    `error: ${tests} is not there. Run npm run build && node scripts/gpu/bundle.mjs, or unpack what scripts/gpu/pack.mjs packed`,
  );
  process.exit(2);
}
mkdirSync(flags.out, { recursive: true });
const { stage, results } = stageRunner(flags.out);
const node = process.execPath;
const python = oraclePython() ?? "python3";
// A GPU's own architecture alone: four times less to compile.
const query = spawnSync(
  "nvidia-smi",
  ["--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader"],
  { encoding: "utf8" },
);
const gpu = query.stdout?.trim() ?? "";
// Dense bfloat16 TFLOP/s by the maker.
const peaks = [
  [/H100|H200/, "989"],
  [/A100/, "312"],
  [/L40S/, "362"],
  [/B200/, "2250"],
];
const peak = peaks.find(([name]) => name.test(gpu))?.[1];
const architecture = /, (\d+)\.(\d+),/.exec(gpu)?.slice(1, 3).join("");
if (architecture) process.env.TFJS_TORCH_CUDA_ARCHITECTURES ??= architecture;
console.log(
  `${gpu || "no nvidia-smi"}; node ${process.version}, ${availableParallelism()} processors, python ${python}`,
);

const limit = Number(flags.limit);
const built = await stage("build", 2 * limit, [node, `${torch}/scripts/buildNative.mjs`]);
console.log(lastLines(built.output, built.status === 0 ? 3 : 40));
const info = await stage("info", 60, [
  node,
  "-e",
  `console.log(JSON.stringify(require("./${torch}/build/Release/tfjs_torch.node").info()))`,
]);
console.log(lastLines(info.output, 5));
if (info.status !== 0) process.exit(1);

// Side by side: their times say nothing. Device and host share one thread each.
const device = {
  // What runs on cpu and wasm elsewhere.
  MSWITCH_TEST_BACKENDS: "torch",
  MSWITCH_PYTHON: python,
  OMP_NUM_THREADS: String(Math.max(1, Math.floor(availableParallelism() / 4))),
};
const modules = readdirSync(tests).filter((name) => name.endsWith(".mjs"));
const conformance = { CONFORMANCE_BACKEND: backend };
await Promise.all([
  stage("golden", limit, [node, "dist/tools/goldenCli.js", "eval/golden", "--backend", backend], device),
  // The same step without our kernels: where only the other fails, a kernel is wrong.
  stage("test.deviceParity by ATen", limit, [node, join(tests, "test.deviceParity.mjs")], {
    ...device,
    TFJS_TORCH_KERNELS: "aten",
  }),
  stage("conformance", limit, [node, `${torch}/dist/conformance.mjs`], { ...device, ...conformance }),
  sideBySide(
    modules.map((name) => () => stage(name.replace(/\.mjs$/, ""), limit, [node, join(tests, name)], device)),
    Math.max(2, availableParallelism() >> 1),
  ),
]);
for (const { name, status, output } of results) {
  if (/golden/.test(name)) console.log(output.trimEnd());
  else if (name === "conformance") console.log(lastLines(output, status === 0 ? 3 : 40));
  else if (status !== 0 && name !== "build" && name !== "info") console.log(`-- ${name}\n${failuresOf(output)}`);
}
console.log(`== checks done at ${elapsed()} s`);

function failuresOf(output) {
  const lines = output.split("\n");
  const marked = lines.flatMap((line, i) => (/^FAIL|CUDA/.test(line) ? lines.slice(i, i + 7) : []));
  return (marked.length > 0 ? marked : lines.slice(-15)).slice(0, 60).join("\n");
}

/** Timings, one at a time, while there is time: each says what it measured. */
const bench = (...args) => [
  node,
  "bench/train.mjs",
  "--backend",
  backend,
  "--batch",
  flags.batch,
  "--steps",
  "5",
  ...(peak ? ["--peak-tflops", peak] : []),
  ...args,
];
const peer = ["--peer", "transformers"];
const [first, ...more] = flags.config.split(",");
const timings = [
  [`bench ${first}`, bench("--config", first, ...peer, "--variants", "bfloat16")],
  ...more.map((config) => [`bench ${config}`, bench("--config", config, ...peer, "--variants", "bfloat16")]),
  [`bench ${first} compile`, bench("--config", first, ...peer, "--variants", "compile")],
];
if (!flags["no-timings"]) {
  for (const [name, command] of timings) {
    const left = Number(flags.seconds) - elapsed();
    if (left < 20) {
      console.log(`== ${name}: left out, ${Math.round(left)} s are left`);
      continue;
    }
    const { output } = await stage(name, left, command, { MSWITCH_PYTHON: python });
    console.log(output.trimEnd());
  }
}
const failed = results.filter(({ status }) => status !== 0).map(({ name }) => name);
console.log(
  `${results.length - failed.length} passed, ${failed.length} failed${failed.length > 0 ? `: ${failed.join(", ")}` : ""} (${elapsed()} s; logs in ${flags.out})`,
);
process.exit(failed.length > 0 ? 1 : 0);
