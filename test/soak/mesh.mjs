// Holds runs of several processes to one process's over 50 steps, on every small mesh, and a run that is killed again and again, and goes on
// with 4, 2, 1 and 3 processes in turn, to one that is not. A dense and a Switch model of some thousand parameters, in float32, without noise, at a
// constant rate of 0.01: rounding grows with the rate, and at 0.07 two data-parallel processes are 5e-5 from one after 50 steps.
// Options that few runs have, precisions, optimizers, pairs and a start from another model are held to one process over four steps on a mesh of 2 × 2,
// and the traffic of eight processes is held to what is planned.
//   npm run soak:mesh [-- --steps 50 --kills 20 --seed N --only kills|meshes|options|eight --match pairs --zero]
// --zero: ranks share their optimizer's state, which is AdamW's.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "50" },
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now()) },
    only: { type: "string" },
    match: { type: "string", default: "" },
    zero: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(root, "bin/run.js");
const folder = mkdtempSync(join(tmpdir(), "mswitch-soak-mesh-"));
const dataset = join(folder, "dataset");
const tolerance = 1e-4;
/** Seconds in which the other ranks of a killed one must have ended. */
const bound = 30;
const steps = Number(values.steps);
const env = { ...process.env, OMP_NUM_THREADS: "1" };

const shape = ["dModel=16", "dKv=4", "dFf=32", "heads=4", "encoderLayers=2", "decoderLayers=2"];
const models = {
  dense: ["model.switch=null"],
  Switch: ["model.switch={experts: 4, every: 1, group: sequence, jitter: 0}"],
};
const meshes = [
  ["dense", {}, 2],
  ["dense", { model: 2 }, 2],
  ["dense", { model: 2 }, 4],
  ["Switch", {}, 2],
  ["Switch", { expert: 2 }, 2],
  ["Switch", { model: 2 }, 2],
  ["Switch", { expert: 2 }, 4],
  ["Switch", { model: 2 }, 4],
  ["Switch", { expert: 2, model: 2 }, 4],
  ["Switch", { expert: 4 }, 4],
];

function pretrain(run, kind, mesh, processes, checkpoints = 1000) {
  const sets = [
    ...[`dataset=${dataset}`, `steps=${steps}`, "stream.batchSize=12", "stream.inputLength=32", "backend=torch"],
    ...["evaluation.every=1000", "evaluation.examplesPerLanguage=1", `checkpoints.every=${checkpoints}`, "logEvery=1"],
    ...[
      "stream.languages=[en, de, hi]",
      values.zero ? adamw : "optimizer={minFactoredSize: 16, learningRate: {schedule: constant, base: 0.01}}",
      ...shape.map((key) => `model.${key}`),
    ],
    ...[...models[kind], ...Object.entries(mesh).map(([axis, size]) => `mesh.${axis}=${size}`)],
    ...(values.zero && processes > 1 ? ["mesh.zero=1"] : []),
  ];
  const many = processes > 1 ? ["--processes", String(processes)] : [];
  const file = join(root, "pipelines/demo-switch.yaml");
  return [bin, "pretrain", file, "--run", run, ...many, ...sets.flatMap((set) => ["--set", set])];
}

const adamw = "optimizer={algorithm: adamw, learningRate: {schedule: constant, base: 0.001}}";
const sparse = (keys = "") => `model.switch={experts: 4, every: 1, group: sequence, jitter: 0${keys}}`;
/** Fine-tuning has dropout where nothing is said. */
const quiet = ["model.dropout=0", sparse(", expertDropout: 0")];
/** What is set, how far losses may be from one process's, and the meshes that it is tried on where not 2 × 2; noise is another on each mesh: null. */
const options = {
  selective: [["precision=selective"], 1e-2],
  bfloat16: [["precision=bfloat16"], 2e-2],
  "AdamW, selective": [["precision=selective", adamw], 1e-2],
  "two experts a token": [[sparse(", topK: 2")], 1e-4],
  "groups of 16 tokens": [[sparse().replace("sequence", "{tokens: 16}")], 1e-4],
  "balance over the batch": [[sparse(", balance: batch")], 1e-4],
  "z-loss, frozen router": [[sparse(", zLossWeight: 0.1, frozen: true")], 1e-4],
  "tied embeddings, ReLU": [["model.tieEmbeddings=true", "model.feedForward=relu"], 1e-4],
  "micro-batches": [["batch.accumulate=2"], 1e-4],
  "micro-batches, balance over the batch": [["batch.accumulate=3", sparse(", balance: batch")], 1e-4],
  "dropout and jitter": [
    ["model.dropout=0.1", sparse(", expertDropout: 0.4").replace("jitter: 0", "jitter: 0.01")],
    null,
  ],
  pairs: [["objective=pairs", ...quiet, "stream.targetLength=32", "stream.languages=[numbers.en, numbers.de]"], 1e-4],
  "packed pairs": [
    [
      "objective=pairs",
      ...quiet,
      "stream.targetLength=32",
      "stream.languages=[numbers.en, numbers.de]",
      "stream.packing=true",
    ],
    1e-4,
  ],
  "experts copied from a dense model": [["init.from=DENSE"], 1e-4],
};

function call(args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env });
  if (status !== 0) throw new Error(`${args.slice(1).join(" ")} ended with ${status}:\n${stderr}`);
  return stdout;
}

/** Losses of a run by step. */
function losses(run) {
  const lines = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
  return new Map(lines.map((line) => JSON.parse(line)).map(({ step, loss }) => [step, loss]));
}

/** The largest relative difference of two runs' losses. */
function furthest(run, other) {
  const [one, two] = [losses(run), losses(other)];
  if ([...two.keys()].join() !== [...one.keys()].join()) throw new Error(`${other} has other steps`);
  return Math.max(...[...one].map(([step, loss]) => Math.abs(two.get(step) / loss - 1)));
}

let failures = 0;
function report(what, isGood) {
  if (!isGood) failures++;
  console.log(`${isGood ? "ok  " : "FAIL"} ${what}`);
}

async function compareMeshes() {
  for (const kind of Object.keys(models)) call(pretrain(join(folder, kind), kind, {}, 1));
  for (const [kind, mesh, processes] of meshes) {
    const run = join(folder, `${kind}-${processes}-${Object.entries(mesh).flat().join("")}`);
    call(pretrain(run, kind, mesh, processes));
    const off = furthest(join(folder, kind), run);
    report(
      `${kind}, ${processes} processes, ${JSON.stringify(mesh)}: losses differ by ${off.toExponential(1)}`,
      off < tolerance,
    );
  }
  // Equal bits from run to run.
  const [first, again] = ["first", "again"].map((name) => {
    const run = join(folder, name);
    call(pretrain(run, "Switch", { expert: 2, model: 2 }, 4));
    return weights(run);
  });
  report("two runs of one mesh have the same bytes", first === again);
}

/** Runs of a few steps with options that the comparisons of meshes leave out. */
function compareOptions() {
  const pairs = join(folder, "pairs");
  const tasks = ["--pairs", "--source", join(root, "data/tasks"), "--tasks", "numbers", "--languages", "en,de"];
  call([bin, "preprocess", ...tasks, "--vocab", join(root, "vocab/sample.model"), "--out", pairs]);
  const dense = join(folder, "start");
  const start = (run, sets, mesh, processes) => {
    const given = ["steps=4", ...sets.map((set) => set.replace("DENSE", dense))];
    const all = sets.includes("objective=pairs") ? [...given, `dataset=${pairs}`] : given;
    const args = pretrain(run, "Switch", mesh, processes);
    if (sets.includes("objective=pairs")) args[1] = "finetune";
    call([...args, ...all.flatMap((set) => ["--set", set])]);
  };
  start(dense, ["model.switch=null"], {}, 1);
  for (const [i, [name, [sets, most]]] of Object.entries(options).entries()) {
    if (!name.includes(values.match)) continue;
    const [one, four] = ["one", "four"].map((side) => join(folder, `options-${i}-${side}`));
    try {
      start(one, sets, {}, 1);
      start(four, sets, { expert: 2, model: 2 }, 4);
      const off = furthest(one, four);
      const rate = most ?? 0.5;
      report(`${name}, expert 2 × model 2: losses differ by ${off.toExponential(1)}`, off < rate);
    } catch (error) {
      report(`${name}: ${error.message}`, false);
    }
  }
}

/** Eight processes give to collectives what is planned. */
function countEight() {
  const sets = ["--set", "steps=1", "--set", "stream.batchSize=16"];
  for (const mesh of [{ expert: 4, model: 2 }, { expert: 2, model: 2 }, {}]) {
    const run = join(folder, `eight-${Object.values(mesh).join("-")}`);
    const args = pretrain(run, "Switch", mesh, 8);
    const { traffic } = JSON.parse(call([...args, ...sets, "--json"]));
    const all = { data: 8 / (mesh.expert ?? 1) / (mesh.model ?? 1), ...mesh, ...(values.zero ? { zero: 1 } : {}) };
    const text = Object.entries(all).map((one) => one.join("="));
    const flags = args.slice(args.indexOf("--set"));
    const plan = JSON.parse(call([bin, "plan", args[2], "--mesh", text.join(), ...flags, ...sets, "--json"]));
    const sum = (list) => {
      const sums = {};
      for (const { kind, ranks, bytes } of list)
        sums[`${kind} of ${ranks}`] = (sums[`${kind} of ${ranks}`] ?? 0) + bytes;
      return JSON.stringify(Object.entries(sums).sort());
    };
    const planned = sum(plan.traffic.map((one) => ({ ...one, bytes: one.times * one.tensorBytes })));
    report(`eight processes, ${text}: ${sum(traffic)}`, sum(traffic) === planned);
    if (sum(traffic) !== planned) console.log(`     planned ${planned}`);
  }
}

function weights(run) {
  const last = join(run, "checkpoints", readdirSync(join(run, "checkpoints")).sort().at(-1));
  const hash = createHash("sha256");
  for (const name of readdirSync(last).sort())
    if (name.endsWith(".safetensors")) hash.update(readFileSync(join(last, name)));
  return hash.digest("hex");
}

/** Process ids of a process's children. */
function childrenOf(pid) {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1].split(" ")[1] === String(pid);
    } catch {
      return false;
    }
  });
}

async function killAgainAndAgain() {
  const whole = join(folder, "Switch");
  if (!existsSync(whole)) call(pretrain(whole, "Switch", {}, 1));
  const run = join(folder, "killed");
  const turns = [
    [4, { expert: 2, model: 2 }],
    [2, { expert: 2 }],
    [1, {}],
    [3, {}],
    [2, { model: 2 }],
    [4, { expert: 4 }],
  ];
  const random = (i) => createHash("sha256").update(`${values.seed} ${i}`).digest().readUInt32LE() / 2 ** 32;
  let slowest = 0;
  const moments = { starting: 0, training: 0, waiting: 0 };
  for (let i = 0; i < Number(values.kills); i++) {
    const [processes, mesh] = turns[i % turns.length];
    const child = spawn(process.execPath, pretrain(run, "Switch", mesh, processes, 2), {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    // One of five at some moment of the start; else after one to three steps, and a part of the next.
    const isEarly = i % 5 === 4;
    let left = isEarly ? 0 : 1 + Math.floor(3 * random(3 * i));
    const begun = new Promise((resolve) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        if (/^step \d+\//.test(line) && --left === 0) resolve();
      });
    });
    await Promise.race([ended, isEarly ? sleep(4000 * random(3 * i + 1)) : begun]);
    await Promise.race([ended, sleep(200 * random(3 * i + 1))]);
    if (child.exitCode !== null) break;
    const ranks = processes > 1 ? childrenOf(child.pid).map(Number) : [];
    const at = Math.floor(random(3 * i + 2) * ranks.length);
    const victim = ranks[at] ?? child.pid;
    // Every other time a rank stops first, so that the others wait for it in a collective when one of them is killed.
    const stopped = i % 2 === 0 && !isEarly ? ranks[(at + 1) % ranks.length] : undefined;
    if (stopped !== undefined) {
      process.kill(stopped, "SIGSTOP");
      await sleep(1000);
    }
    process.kill(victim, "SIGKILL");
    const killedAt = Date.now();
    if (stopped !== undefined) process.kill(stopped, "SIGCONT");
    await ended;
    moments[isEarly ? "starting" : stopped === undefined ? "training" : "waiting"]++;
    slowest = Math.max(slowest, (Date.now() - killedAt) / 1000);
  }
  const { starting, training, waiting } = moments;
  call(pretrain(run, "Switch", {}, 1, 2));
  const off = furthest(whole, run);
  report(
    `${starting} kills at the start, ${training} while it trained and ${waiting} inside a collective, 4, 2, 1 and 3 processes in turn: losses differ by ${off.toExponential(1)}`,
    off < tolerance && starting + training + waiting === Number(values.kills),
  );
  report(`the others had ended ${slowest.toFixed(1)} s after a kill at the latest`, slowest < bound);
}

try {
  console.log(`seed ${values.seed}`);
  const sample = ["--source", join(root, "data/sample"), "--vocab", join(root, "vocab/sample.model"), "--out", dataset];
  call([bin, "preprocess", ...sample]);
  const parts = { meshes: compareMeshes, options: compareOptions, eight: countEight, kills: killAgainAndAgain };
  for (const [name, part] of Object.entries(parts)) if ((values.only ?? name) === name) await part();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failures > 0 ? 1 : 0);
