// Everything there is to check on a GPU, one after another: builds the torch backend against a CUDA PyTorch, runs its tests on the device,
// and times steps there, kernel by kernel and as a graph. Ends with 1 where something failed.
//   npm run check:gpu        (MSWITCH_PYTHON or LIBTORCH names the PyTorch; nvcc of the same CUDA for the kernels and graphs)
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const backend = "torch:cuda:0";
const work = mkdtempSync(join(tmpdir(), "mswitch-gpu-"));
const results = [];

function check(what, command, args, env = {}) {
  console.log(`\n== ${what}: ${command} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  results.push([what, status === 0]);
  return status === 0;
}

const mswitch = (...args) => [join("bin", "run.js"), ...args];
const dataset = join(work, "dataset");
const pretrain = (pipeline, name, ...sets) =>
  mswitch(
    ...["pretrain", join("pipelines", pipeline), "--backend", backend, "--run", join(work, name)],
    ...[`dataset=${dataset}`, "steps=60", "evaluation.examplesPerLanguage=1", "logEvery=20", ...sets].flatMap((set) => [
      "--set",
      set,
    ]),
  );

if (
  check("build", "npm", ["run", "build"]) &&
  check("addon", "npm", ["run", "build:native", "-w", "@mswitch/tfjs-backend-torch"])
) {
  check("conformance", "npm", ["run", "conformance"], { CONFORMANCE_BACKEND: backend });
  check("golden cases", process.execPath, [
    join("dist", "model", "goldenCli.js"),
    join("eval", "golden"),
    "--backend",
    backend,
  ]);
  // Where there is a device, `torch` is the device.
  check("fast paths", "npx", [
    "vitest",
    "run",
    "src/ops",
    "src/model",
    "src/train/step.test.ts",
    "test/precisionParity.test.ts",
  ]);
  check("steps beside Transformers", "npm", [
    "run",
    "bench:train",
    "--",
    "--backend",
    backend,
    "--peer",
    "transformers",
  ]);
  const sample = ["--source", join("data", "sample"), "--vocab", join("vocab", "sample.model"), "--out", dataset];
  check("sample", process.execPath, mswitch("preprocess", ...sample));
  for (const pipeline of ["mt5-base.yaml", "mswitch-base.yaml"]) {
    const quiet = pipeline.startsWith("mswitch") ? ["model.switch.jitter=0"] : [];
    for (const record of [true, false]) {
      const name = `${pipeline} ${record ? "as a graph" : "kernel by kernel"}`;
      const sets = [`recordSteps=${record}`, "precision=selective", ...quiet];
      check(name, process.execPath, pretrain(pipeline, `${pipeline}-${record}`, ...sets));
    }
  }
}
rmSync(work, { recursive: true, force: true });
console.log("");
for (const [what, passed] of results) console.log(`${passed ? "passed" : "FAILED"}  ${what}`);
process.exit(results.every(([, passed]) => passed) ? 0 : 1);
