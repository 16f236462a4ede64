// Two processes of one thread each beside one process of two threads, in turns in one run: tokens a second of mT5-Small's shape (8 rows of 512 and
// 114 tokens) and of preset tiny's (64 rows of 64 and 17). With --plan beside what `mswitch plan --measure` says of them instead.
//   npm run bench:mesh -- [--only NAMES] [--rounds 1] [--precision float32] [--plan]
// mT5-Small's shape takes about a minute a round on two cores.
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const mt5Small = {
  preset: "mt5-small",
  rows: 8,
  length: 512,
  experts: 0,
  steps: 4,
  logEvery: 1,
  sets: ["model.vocabSize=32128"],
};
const adamw = "optimizer={algorithm: adamw, learningRate: {schedule: constant, base: 0.001}}";
const small = { preset: "tiny", rows: 64, length: 64, experts: 0, steps: 40, logEvery: 10, sets: [] };
const variants = {
  "mt5-small-data": { ...mt5Small, mesh: "data=2" },
  "mt5-small-expert": { ...mt5Small, experts: 8, mesh: "expert=2" },
  "mt5-small-adamw": { ...mt5Small, mesh: "data=2", sets: [...mt5Small.sets, adamw] },
  // The same with the optimizer's state shared.
  "mt5-small-zero": { ...mt5Small, mesh: "data=2", sets: [...mt5Small.sets, adamw, "mesh.zero=1"] },
  "mt5-small-short": { ...mt5Small, length: 128, mesh: "data=2" },
  "small-data": { ...small, mesh: "data=2" },
  "small-expert": { ...small, experts: 8, mesh: "expert=2" },
  "small-model": { ...small, mesh: "model=2", sets: ["model.heads=2", "model.dKv=32"] },
};
const { values } = parseArgs({
  options: {
    only: { type: "string", default: "mt5-small-data,mt5-small-expert" },
    rounds: { type: "string", default: "1" },
    precision: { type: "string", default: "float32" },
    plan: { type: "boolean", default: false },
  },
});
const execute = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "bin/run.js");
const folder = mkdtempSync(join(tmpdir(), "mswitch-bench-mesh-"));
const dataset = join(folder, "dataset");
const file = join(root, "pipelines/demo-switch.yaml");

const median = (rates) => rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];

function setsOf({ preset, rows, length, experts, steps, logEvery, sets }) {
  return [
    ...[`dataset=${dataset}`, `model.preset=${preset}`, ...sets, `precision=${values.precision}`],
    ...[`stream.batchSize=${rows}`, `stream.inputLength=${length}`, "stream.languages=[en, de]", "backend=torch"],
    `model.switch=${experts === 0 ? "null" : `{experts: ${experts}, group: sequence}`}`,
    ...[`steps=${steps}`, `logEvery=${logEvery}`, "checkpoints.every=1000"],
    "evaluation={every: 1000, examplesPerLanguage: 1, languages: [en]}",
  ].flatMap((set) => ["--set", set]);
}

function mswitch(args, threads) {
  const env = { ...process.env, OMP_NUM_THREADS: String(threads) };
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { env, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr || stdout);
  return stdout;
}

/** Most memory that rank 0 had of its last run, bytes. */
let memory = 0;

/** Tokens a second between lines of the log. The first step takes memory and chooses kernels; the first lines are left out. */
function rates(variant, processes) {
  const run = join(folder, "run");
  rmSync(run, { recursive: true, force: true });
  const shared = processes > 1 ? ["--processes", "2", "--set", `mesh.${variant.mesh}`] : [];
  mswitch(["pretrain", file, "--run", run, ...shared, ...setsOf(variant)], 2 / processes);
  const text = readFileSync(join(run, "metrics.jsonl"), "utf8").trim();
  const lines = text.split("\n").map((line) => JSON.parse(line));
  memory = Math.max(...lines.map(({ memoryBytes }) => memoryBytes));
  return lines.slice(variant.logEvery > 1 ? 2 : 1).map(({ tokensPerSecond }) => tokensPerSecond);
}

/** A hardware file of one core of this machine, with the rate of an all-reduce of 64 MiB between two processes. */
function localHardware() {
  const script = `
    import * as tf from "@tensorflow/tfjs-core";
    import "@mswitch/tfjs-backend-torch";
    import { joinProcessGroup } from "@mswitch/tfjs-backend-torch/distributed";
    await tf.setBackend("torch");
    const rank = Number(process.argv[1]);
    const group = await joinProcessGroup({ rank, worldSize: 2, host: "127.0.0.1", port: ${29500 + (process.pid % 1000)} });
    const timed = (size) => {
      const x = tf.ones([size]);
      const times = Array.from({ length: 9 }, () => {
        const start = performance.now();
        group.blocking("sum", x).dispose();
        return (performance.now() - start) / 1000;
      });
      return times.sort((a, b) => a - b)[4];
    };
    const seconds = [timed(1), timed(2 ** 24)];
    if (rank === 0) console.log(JSON.stringify(seconds));`;
  const start = (rank) =>
    spawn(process.execPath, ["--input-type=module", "-e", script, String(rank)], {
      ...{ cwd: root, env: { ...process.env, OMP_NUM_THREADS: "1" }, stdio: ["ignore", "pipe", "inherit"] },
    });
  const ranks = [0, 1].map(start);
  return new Promise((resolve, reject) => {
    let text = "";
    ranks[0].stdout.on("data", (chunk) => (text += chunk));
    ranks[0].once("close", (code) => {
      if (code !== 0) return reject(new Error("the all-reduce failed"));
      const [small, large] = JSON.parse(text);
      const gigabytes = 2 ** 26 / (large - small) / 1e9;
      console.log(
        `all-reduce between two processes: ${(1e6 * small).toFixed(0)} µs and ${gigabytes.toFixed(2)} GB/s each way`,
      );
      const path = join(folder, "hardware.yaml");
      writeFileSync(
        path,
        `name: a core of this machine
memoryGiB: 12
teraflops: 0.1
memoryGBps: 13
efficiency: 0.8
devicesPerNode: 2
nodeGBps: ${gigabytes}
networkGBps: ${gigabytes}
latencyMicroseconds: ${1e6 * small}
overlap: false
`,
      );
      resolve(path);
    });
  });
}

/** What is planned from a rank's step, timed while another does the same: ranks share the machine's memory and caches. */
async function planned(variant, hardware) {
  const flags = ["--measure", "--mesh", variant.mesh, "--hardware", hardware, "--json"];
  const args = [bin, "plan", file, ...flags, ...setsOf(variant)];
  const ranks = [0, 1].map(async () => {
    const { stdout } = await execute(process.execPath, args, { env: { ...process.env, OMP_NUM_THREADS: "1" } });
    return JSON.parse(stdout);
  });
  return (await Promise.all(ranks)).sort((a, b) => b.seconds.step - a.seconds.step)[0];
}

try {
  const sample = ["--source", join(root, "data/sample"), "--vocab", join(root, "vocab/sample.model"), "--out", dataset];
  mswitch(["preprocess", ...sample, "--languages", "en,de"], 2);
  const hardware = values.plan ? await localHardware() : undefined;
  const range = (all) => `${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)}`;
  for (const name of values.only.split(",")) {
    const [other, shared] = [[], []];
    let seconds;
    for (let round = 0; round < Number(values.rounds); round++) {
      if (hardware) {
        const plan = await planned(variants[name], hardware);
        seconds = plan.seconds;
        other.push(plan.tokensPerSecond);
      } else other.push(...rates(variants[name], 1));
      shared.push(...rates(variants[name], 2));
    }
    const [one, two] = [median(other), median(shared)];
    console.log(
      `${name} (${variants[name].mesh}): ${two.toFixed(0)} tokens/s (${range(shared)}), rank 0 had ${(memory / 1e9).toFixed(2)} GB, ` +
        (seconds
          ? `planned ${one.toFixed(0)}: a rank ${seconds.compute.toFixed(2)} s, collectives ${seconds.exposed.toFixed(2)} s beside ${seconds.hidden.toFixed(2)} s hidden: ${(100 * (one / two - 1)).toFixed(0)} % off`
          : `one process of two threads ${one.toFixed(0)} (${range(other)}): ${((100 * two) / one).toFixed(0)} %`),
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
