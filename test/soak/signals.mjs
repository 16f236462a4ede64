// Stops a run of the demo's size at random moments, evaluations every 10 steps included, and holds each end to 20 seconds, exit code 130 and a
// complete checkpoint; at last the run has the same bytes as one that was never stopped.
//   node test/soak/signals.mjs [--signals 50] [--steps 40] [--backend wasm] [--seed N]
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    signals: { type: "string", default: "50" },
    steps: { type: "string", default: "40" },
    backend: { type: "string", default: "wasm" },
    seed: { type: "string", default: String(Date.now()) },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(root, "bin/run.js");
const folder = mkdtempSync(join(tmpdir(), "mswitch-soak-signals-"));
const dataset = join(folder, "dataset");
const bound = 20;

const call = (args) => {
  const { status, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`mswitch ${args[0]} ended with ${status}:\n${stderr}`);
};
const pretrain = (run) => [
  ...["pretrain", join(root, "pipelines/demo-switch.yaml"), "--run", run, "--backend", values.backend, "--json"],
  ...["--set", `dataset=${dataset}`, "--set", `steps=${values.steps}`, "--set", "evaluation.every=10"],
  ...["--set", "checkpoints.every=1000"],
];

/** Hashes of the last checkpoint's weights and moments and of all evaluations. */
function results(run) {
  const checkpoint = `checkpoints/step-${values.steps.padStart(8, "0")}`;
  const files = [
    ...readdirSync(join(run, checkpoint))
      .filter((name) => name.endsWith(".safetensors"))
      .map((name) => join(checkpoint, name)),
    ...readdirSync(join(run, "eval")).map((name) => join("eval", name)),
  ].sort();
  return files
    .map(
      (name) =>
        `${name} ${createHash("sha256")
          .update(readFileSync(join(run, name)))
          .digest("hex")}`,
    )
    .join("\n");
}

/** Numbers in [0, 1) that follow from the seed. */
function* randomNumbers(seed) {
  for (let i = 0; ; i++) yield createHash("sha256").update(`${seed} ${i}`).digest().readUInt32LE() / 2 ** 32;
}

try {
  call([
    "preprocess",
    "--source",
    join(root, "data/sample"),
    "--vocab",
    join(root, "vocab/sample.model"),
    "--out",
    dataset,
  ]);
  const begun = performance.now();
  call(pretrain(join(folder, "unbroken")));
  const whole = (performance.now() - begun) / 1000;
  const expected = results(join(folder, "unbroken"));
  console.log(
    `seed ${values.seed}; ${values.steps} steps with their evaluations take ${whole.toFixed(1)} s unbroken on ${values.backend}`,
  );

  const random = randomNumbers(values.seed);
  const seconds = [];
  for (let run = 0; seconds.length < Number(values.signals); run++) {
    const dir = join(folder, `stopped-${run}`);
    for (;;) {
      const child = spawn(process.execPath, [bin, ...pretrain(dir)], { stdio: ["ignore", "pipe", "pipe"] });
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (data) => (stdout += data));
      const started = new Promise((done) =>
        child.stderr.on("data", (data) => {
          stderr += data;
          if (stderr.includes("\n")) done();
        }),
      );
      const ended = new Promise((done) => child.on("close", done));
      const isSent = seconds.length < Number(values.signals);
      let sent = 0;
      if (isSent) {
        await Promise.race([started, ended]);
        await Promise.race([sleep(random.next().value * whole * 250), ended]);
        sent = performance.now();
        child.kill("SIGTERM");
      }
      const code = await ended;
      if (code === 0) break;
      const took = (performance.now() - sent) / 1000;
      seconds.push(took);
      const { step, checkpoint } = JSON.parse(stdout || "{}");
      const isWhole = step === 0 || existsSync(join(checkpoint ?? "", "complete.json"));
      if (code !== 130 || took > bound || !isWhole)
        throw new Error(`signal ${seconds.length}: code ${code} after ${took.toFixed(1)} s\n${stderr}`);
    }
    if (results(dir) !== expected) throw new Error(`${dir} has other bytes than the run that was never stopped`);
  }
  const sorted = seconds.sort((a, b) => a - b);
  console.log(
    `${seconds.length} signals: each ended with 130 and a checkpoint, after ${sorted[sorted.length >> 1].toFixed(2)} s in the median, ${sorted.at(-1).toFixed(2)} s at most; same bytes`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
