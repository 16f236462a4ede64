// Two processes with one thread each beside one process with two threads, data parallel and with experts split, in turns in one run: tokens a second.
//   node bench/mesh.mjs [--model mt5-small] [--rows 8] [--length 128] [--steps 4] [--rounds 2] [--vocab 32128]
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "mt5-small" },
    vocab: { type: "string", default: "32128" },
    experts: { type: "string", default: "4" },
    rows: { type: "string", default: "8" },
    length: { type: "string", default: "128" },
    steps: { type: "string", default: "4" },
    rounds: { type: "string", default: "2" },
    only: { type: "string" },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "bin/run.js");
const folder = mkdtempSync(join(tmpdir(), "mswitch-bench-mesh-"));
const dataset = join(folder, "dataset");

const sparse = `model.switch={experts: ${values.experts}, group: sequence}`;
const variants = {
  "dense, 1 process × 2 threads": ["model.switch=null", 1],
  "dense, 2 data × 1 thread": ["model.switch=null", 2],
  "Switch, 1 process × 2 threads": [sparse, 1],
  "Switch, 2 experts × 1 thread": [sparse, 2, "mesh.expert=2"],
};
const chosen = Object.entries(variants).filter(([name]) => !values.only || name.startsWith(values.only));

/** Tokens a second of the steps after the first. */
function measure(name, [model, processes, ...sets]) {
  const run = join(folder, "run");
  rmSync(run, { recursive: true, force: true });
  const all = [
    ...[`dataset=${dataset}`, `model.preset=${values.model}`, `model.vocabSize=${values.vocab}`, model, ...sets],
    ...[
      `stream.batchSize=${values.rows}`,
      `stream.inputLength=${values.length}`,
      `steps=${values.steps}`,
      "logEvery=1",
    ],
    ...["evaluation.languages=[xx]", "checkpoints.every=1000", "backend=torch", "stream.languages=[en, de]"],
  ].filter((set) => !set.startsWith("evaluation"));
  const many = processes > 1 ? ["--processes", String(processes)] : [];
  const env = { ...process.env, OMP_NUM_THREADS: processes > 1 ? "1" : "2" };
  const flags = all.flatMap((set) => ["--set", set]);
  const file = join(root, "pipelines/demo-switch.yaml");
  const extra = ["--set", "evaluation={every: 1000, examplesPerLanguage: 1, languages: [en]}"];
  const args = [bin, "pretrain", file, "--run", run, ...many, ...flags, ...extra];
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  if (status !== 0) throw new Error(`${name}: ${stderr}`);
  const lines = readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const rates = lines.slice(1).map(({ tokensPerSecond }) => tokensPerSecond);
  return rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];
}

try {
  const sample = ["--source", join(root, "data/sample"), "--vocab", join(root, "vocab/sample.model"), "--out", dataset];
  execFileSync(process.execPath, [bin, "preprocess", ...sample, "--languages", "en,de"], { stdio: "ignore" });
  const rates = new Map(chosen.map(([name]) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, variant] of chosen) rates.get(name).push(measure(name, variant));
  }
  const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
  let beside;
  for (const [name, list] of rates) {
    const rate = median(list);
    if (name.includes("1 process")) beside = rate;
    console.log(`${name.padEnd(32)} ${rate.toFixed(0).padStart(7)} tokens/s  ${((100 * rate) / beside).toFixed(0)} %`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
