// Holds what this build computes to recorded hashes, byte by byte: the sample's dataset and manifest, 20 batches of the stream, and
// losses and weights of 20 training steps in float32 on the wasm and torch backends, dense and Switch.
//
//   npm run check:bytes                        compares with scripts/byteEquality.json
//   npm run check:bytes -- --root DIR   the same for another built checkout, of any layout
//   npm run check:bytes -- --record            writes what --root computes into the file
//
// torch multiplies by the library's products here: others add in another order. These depend on the processor's instructions, so torch's hashes
// are kept for each processor; where none is recorded they are computed, printed and not judged. Without jitter: noise has changed (decision 26).
//
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseFlags } from "./parseFlags.mjs";

const steps = 20;
const recordedFile = fileURLToPath(new URL("byteEquality.json", import.meta.url));
const flags = { root: { type: "string" }, record: { type: "boolean" } };
const { root: given, record } = parseFlags(import.meta.url, { options: flags }).values;
const root = resolve(given ?? fileURLToPath(new URL("..", import.meta.url)));
const out = mkdtempSync(join(tmpdir(), "mswitch-bytes-"));
const dataset = join(out, "dataset");
const processor = cpus()[0].model.trim();

function hashOf(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function mswitch(...args) {
  const env = {
    ...process.env,
    OMP_NUM_THREADS: "1",
    TFJS_TORCH_GEMM: "bfloat16:library,float32:library",
    XDG_CACHE_HOME: join(out, "cache"),
  };
  return execFileSync(process.execPath, [join(root, "bin", "run.js"), ...args], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Every file below a folder, sorted, relative to it. */
function filesBelow(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => file.slice(folder.length + 1)).sort();
}

/** The built module of this name, wherever the layout has it. */
function builtModule(name) {
  const found = filesBelow(join(root, "dist")).find((file) => file === name || file.endsWith(`/${name}`));
  if (!found) throw new Error(`${root}/dist has no ${name}: run npm run build there`);
  return import(pathToFileURL(join(root, "dist", found)).href);
}

function datasetHashes() {
  mswitch("preprocess", "--source", "data/sample", "--vocab", "vocab/sample.model", "--out", dataset, "--json");
  const all = createHash("sha256");
  for (const file of filesBelow(dataset)) all.update(`${file}\n`).update(readFileSync(join(dataset, file)));
  return {
    manifest: hashOf(readFileSync(join(dataset, "dataset.json"))),
    "all files of the dataset": all.digest("hex"),
  };
}

async function batchesHash() {
  const { openDataset } = await builtModule("openDataset.js");
  const { createExampleStream } = await builtModule("createExampleStream.js");
  const opened = await openDataset(dataset);
  const mixing = { strategy: "temperature", alpha: 1 / 3.3 };
  const stream = createExampleStream(opened, { seed: 1, batchSize: 16, inputLength: 64, mixing });
  const hash = createHash("sha256");
  for (let step = 0; step < steps; step++) {
    const { inputs, targets, languages } = stream.batch(step);
    for (const array of [inputs, targets, languages]) {
      hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    }
  }
  opened.close();
  return hash.digest("hex");
}

/** Names, types, shapes and bytes of a safetensors file's tensors, in the order of their names; its metadata do not count. */
function weightsHash(file) {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString());
  const hash = createHash("sha256");
  for (const name of Object.keys(header).sort()) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = header[name];
    hash.update(`${name} ${dtype} ${shape.join("x")}\n`).update(bytes.subarray(start + offsets[0], start + offsets[1]));
  }
  return hash.digest("hex");
}

/** The demo's models as they were when the hashes were recorded, whatever the presets are now. */
const models = {
  dense: "{ preset: tiny, heads: 4, dKv: 16, init: { scheme: truncated-normal, scale: 0.1 }, switch: null }",
  switch:
    "{ preset: tiny, heads: 4, dKv: 16, init: { scheme: truncated-normal, scale: 0.1 }, switch: { experts: 8, jitter: 0 } }",
};

function trainingHashes(model, backend) {
  const run = join(out, `${model}-${backend}`);
  const file = `${run}.yaml`;
  const lines = [
    `dataset: ${dataset}`,
    `run: ${run}`,
    `model: ${models[model]}`,
    "stream: { batchSize: 16, inputLength: 64, mixing: { strategy: temperature, alpha: 0.30303030303030304 } }",
    "optimizer: { learningRate: { schedule: inverse-sqrt, base: 1, warmupSteps: 200 } }",
    `steps: ${steps}`,
    "seed: 1",
    "precision: float32",
    "evaluation: { every: 50, examplesPerLanguage: 1 }",
    "checkpoints: { every: 200 }",
    "logEvery: 1",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  mswitch("pretrain", file, "--backend", backend, "--json");
  const metrics = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
  const losses = metrics.map((line) => JSON.parse(line)).flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
  if (losses.length !== steps) throw new Error(`${losses.length} losses in ${run}, ${steps} steps`);
  const weights = filesBelow(run).filter((file) => file.endsWith("model.safetensors"));
  return { losses: hashOf(JSON.stringify(losses)), weights: weightsHash(join(run, weights.at(-1))) };
}

const known = existsSync(recordedFile) ? JSON.parse(readFileSync(recordedFile, "utf8")) : { any: {}, processors: {} };
const found = { any: {}, torch: {} };
try {
  Object.assign(found.any, datasetHashes(), { [`${steps} batches`]: await batchesHash() });
  for (const model of ["dense", "switch"]) {
    for (const backend of ["wasm", "torch"]) {
      let hashes;
      try {
        hashes = trainingHashes(model, backend);
      } catch (error) {
        if (backend !== "torch") throw error;
        console.log(`torch, ${model}: could not be run here`);
        continue;
      }
      const place = backend === "torch" ? found.torch : found.any;
      for (const [what, hash] of Object.entries(hashes)) place[`${backend} ${model} ${steps} steps' ${what}`] = hash;
    }
  }
} finally {
  rmSync(out, { recursive: true });
}

if (record) {
  known.any = found.any;
  known.processors[processor] = found.torch;
  writeFileSync(recordedFile, `${JSON.stringify(known, null, 2)}\n`);
  console.log(`recorded from ${root} on ${processor}`);
} else {
  const torch = known.processors[processor] ?? {};
  let differing = 0;
  for (const [what, hash] of Object.entries({ ...found.any, ...found.torch })) {
    const expected = { ...known.any, ...torch }[what];
    const verdict = expected === undefined ? "not recorded" : hash === expected ? "equal" : "DIFFERENT";
    if (verdict === "DIFFERENT") differing++;
    console.log(`${verdict.padEnd(13)} ${what.padEnd(40)} ${hash.slice(0, 16)}`);
  }
  console.log(differing === 0 ? "all recorded bytes are the same" : `${differing} differ`);
  process.exitCode = differing === 0 ? 0 : 1;
}
