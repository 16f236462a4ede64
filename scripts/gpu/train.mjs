// Trains a dense model and its Switch twin on a GPU, each for the same time, and makes their report. With node alone, after check.mjs
// has built the torch backend.
//   node scripts/gpu/train.mjs --seconds 200 [--dataset DIR | .gpu/dataset.tar.xz] [--backend torch:cuda:0] [--out DIR] [--set KEY=VALUE]
import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseFlags } from "../parseFlags.mjs";
import { elapsed, lastLines, stageRunner } from "./stages.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    seconds: { type: "string", default: "200" },
    dataset: { type: "string", default: ".gpu/dataset.tar.xz" },
    backend: { type: "string", default: "torch:cuda:0" },
    out: { type: "string", default: process.env.OUT ?? join(tmpdir(), "mswitch-gpu-runs") },
    set: { type: "string", multiple: true, default: [] },
  },
});
process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
const out = resolve(flags.out);
const work = mkdtempSync(join(tmpdir(), "mswitch-gpu-"));
mkdirSync(out, { recursive: true });
const { stage, results } = stageRunner(out);
const node = process.execPath;

let dataset = resolve(flags.dataset);
if (!existsSync(dataset)) {
  console.error(`error: no dataset at ${flags.dataset}: pack one with scripts/gpu/pack.mjs --dataset DIR`);
  process.exit(2);
}
if (dataset.endsWith(".tar.xz")) {
  const from = dataset;
  dataset = join(work, "dataset");
  mkdirSync(dataset);
  const unxz =
    spawnSync("sh", ["-c", "command -v xz"]).status === 0
      ? 'xz -dc "$1"'
      : "python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' \"$1\"";
  const { status } = spawnSync("bash", ["-c", `set -o pipefail; ${unxz} | tar -x -C "$2"`, "unpack", from, dataset], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
}
const query = "timestamp,utilization.gpu,memory.used,power.draw";
const watch = spawn("nvidia-smi", [`--query-gpu=${query}`, "--format=csv,noheader", "-l", "5"], {
  stdio: ["ignore", "pipe", "ignore"],
});
watch.on("error", () => console.log("no nvidia-smi: use and power of the device are not recorded"));
watch.stdout.pipe(createWriteStream(join(out, "gpu.csv")));

const runs = ["dense", "switch"].map((name) => join(work, "runs", name));
const sets = (run) => [`dataset=${dataset}`, ...flags.set].flatMap((one) => ["--set", one]).concat("--run", run);
for (const [i, name] of ["dense", "switch"].entries()) {
  // At its limit SIGTERM ends a run with a checkpoint, as Ctrl-C does.
  const command = [
    node,
    "bin/run.js",
    "pretrain",
    `pipelines/gpu-${name}.yaml`,
    "--backend",
    flags.backend,
    ...sets(runs[i]),
  ];
  const { output } = await stage(name, Number(flags.seconds), command);
  console.log(lastLines(output, 12));
  // Checkpoints are too large to bring back.
  spawnSync("tar", ["-czf", join(out, "runs.tar.gz"), "--exclude=checkpoints", "-C", work, "runs"]);
}
watch.kill();
const report = await stage("report", 60, [
  node,
  "bin/run.js",
  "report",
  ...runs,
  "--dataset",
  dataset,
  "--out",
  join(work, "report"),
]);
console.log(lastLines(report.output, 6));
spawnSync("tar", ["-czf", join(out, "report.tar.gz"), "-C", work, "report"]);
console.log(`runs, report and logs in ${out} (${elapsed()} s)`);
// A run that was ended at its limit has done what it should.
process.exit(results.every(({ name, status }) => status === 0 || (name !== "report" && status === 124)) ? 0 : 1);
