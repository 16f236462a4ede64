// Two processes of one thread each beside one process of two threads, in turns in one run: tokens a second of mT5-Small's shape (8 rows of 512 and
// 114 tokens) and of preset tiny's (64 rows of 64 and 17). With --plan beside what `mswitch plan --measure` says of them instead.
//   npm run bench:mesh -- [--only mt5-small-data,mt5-small-expert,small-expert,small-model] [--steps 5] [--rounds 1] [--precision float32] [--plan]
// mT5-Small's shape takes about a minute a round on two cores.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const variants = {
  "mt5-small-data": { preset: "mt5-small", rows: 8, length: 512, experts: 0, mesh: "data=2" },
  "mt5-small-expert": { preset: "mt5-small", rows: 8, length: 512, experts: 8, mesh: "expert=2" },
  "small-expert": { preset: "tiny", rows: 64, length: 64, experts: 8, mesh: "expert=2" },
  "small-model": { preset: "tiny", rows: 64, length: 64, experts: 0, mesh: "model=2" },
};
const { values } = parseArgs({
  options: {
    only: { type: "string", default: "mt5-small-data,mt5-small-expert" },
    vocab: { type: "string", default: "32128" },
    steps: { type: "string", default: "5" },
    rounds: { type: "string", default: "1" },
    precision: { type: "string", default: "float32" },
    plan: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "bin/run.js");
const folder = mkdtempSync(join(tmpdir(), "mswitch-bench-mesh-"));
const dataset = join(folder, "dataset");
const file = join(root, "pipelines/demo-switch.yaml");

const median = (rates) => rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];

function setsOf({ preset, rows, length, experts }) {
  const vocab = preset === "tiny" ? [] : [`model.vocabSize=${values.vocab}`];
  return [
    ...[`dataset=${dataset}`, `model.preset=${preset}`, ...vocab, `precision=${values.precision}`],
    ...[`stream.batchSize=${rows}`, `stream.inputLength=${length}`, "stream.languages=[en, de]", "backend=torch"],
    `model.switch=${experts === 0 ? "null" : `{experts: ${experts}, group: sequence}`}`,
    ...[`steps=${values.steps}`, "logEvery=1", "checkpoints.every=1000"],
    "evaluation={every: 1000, examplesPerLanguage: 1, languages: [en]}",
  ].flatMap((set) => ["--set", set]);
}

function mswitch(args, threads) {
  const env = { ...process.env, OMP_NUM_THREADS: String(threads) };
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { env, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Tokens a second of each step after the second: the first ones take memory and choose kernels. */
function rates(variant, processes) {
  const run = join(folder, "run");
  rmSync(run, { recursive: true, force: true });
  const shared = processes > 1 ? ["--processes", "2", "--set", `mesh.${variant.mesh}`] : [];
  mswitch(["pretrain", file, "--run", run, ...shared, ...setsOf(variant)], 2 / processes);
  const lines = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines.slice(2).map((line) => JSON.parse(line).tokensPerSecond);
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
    const x = tf.ones([2 ** 24]);
    const times = [];
    for (let i = 0; i < 6; i++) {
      const start = performance.now();
      group.blocking("sum", x).dispose();
      times.push((performance.now() - start) / 1000);
    }
    if (rank === 0) console.log(times.sort((a, b) => a - b)[3]);`;
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
      const gigabytes = 2 ** 26 / Number(text) / 1e9;
      console.log(`all-reduce of 64 MiB between two processes: ${gigabytes.toFixed(2)} GB/s each way`);
      const hardware = `name: a core of this machine\nmemoryGiB: 12\nteraflops: 0.1\nmemoryGBps: 13\nefficiency: 0.8\n`;
      const path = join(folder, "hardware.yaml");
      writeFileSync(path, `${hardware}devicesPerNode: 2\nnodeGBps: ${gigabytes}\nnetworkGBps: ${gigabytes}\n`);
      resolve(path);
    });
  });
}

function planned(variant, hardware) {
  const flags = ["--measure", "--mesh", variant.mesh, "--hardware", hardware, "--json"];
  return JSON.parse(mswitch(["plan", file, ...flags, ...setsOf(variant)], 1));
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
        const plan = planned(variants[name], hardware);
        seconds = plan.seconds;
        other.push(plan.tokensPerSecond);
      } else other.push(...rates(variants[name], 1));
      shared.push(...rates(variants[name], 2));
    }
    const [one, two] = [median(other), median(shared)];
    console.log(
      `${name} (${variants[name].mesh}): ${two.toFixed(0)} tokens/s (${range(shared)}), ` +
        (seconds
          ? `planned ${one.toFixed(0)}: a rank ${seconds.compute.toFixed(2)} s, collectives ${seconds.exposed.toFixed(2)} s beside ${seconds.hidden.toFixed(2)} s hidden: ${(100 * (one / two - 1)).toFixed(0)} % off`
          : `one process of two threads ${one.toFixed(0)} (${range(other)}): ${((100 * two) / one).toFixed(0)} %`),
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
