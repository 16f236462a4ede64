// How fast texts become ids on one core: ours, SentencePiece's library, Hugging Face's tokenizers and sentencepiece-js, in one run, in turn.
// usage: npm run bench:encode -- MODEL CORPUS [--rounds N] [--mb N]   (after npm run build)
// CORPUS: a directory of .json.gz shards, or one shard. Python: MSWITCH_PYTHON, or what scripts/setup-python made.
// Prints the median of the rounds in MB of text per second of CPU time, and first how long our encoder takes to load: cold, with an
// empty cache directory, and warm.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { createEncoder } from "../dist/vocab/encode/createEncoder.js";
import { createLibraryEncoder } from "../dist/vocab/encode/libraryEncoder.js";
import { oraclePython } from "../scripts/oraclePython.mjs";
import { parseFlags } from "../scripts/parseFlags.mjs";

const { values, positionals } = parseFlags(import.meta.url, {
  allowPositionals: true,
  options: { rounds: { type: "string", default: "3" }, mb: { type: "string", default: "20" } },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const [model = join(root, "vocab/sample.model"), corpus = join(root, "data/sample")] = positionals;
const rounds = Number(values.rounds);
const python = oraclePython() ?? "python3";

const shards = statSync(corpus).isDirectory()
  ? readdirSync(corpus)
      .filter((name) => name.endsWith(".json.gz"))
      .sort()
      .map((name) => join(corpus, name))
  : [corpus];
const texts = shards.flatMap((shard) =>
  gunzipSync(readFileSync(shard))
    .toString()
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [Buffer.from(JSON.parse(line).text)])),
);
// The slow ones get every k-th document, about `--mb` of them in all: a sample of all languages.
const total = megabytes(texts);
const step = Math.max(1, Math.round(total / Number(values.mb)));
const sample = texts.filter((_, i) => i % step === 0);

const folder = mkdtempSync(join(tmpdir(), "mswitch-bench-"));
const samplePath = join(folder, "sample");
writeFileSync(
  samplePath,
  Buffer.concat(
    sample.flatMap((text) => {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(text.length);
      return [head, text];
    }),
  ),
);

// Each load in a process of its own.
process.env.XDG_CACHE_HOME = folder;
for (const kind of ["cold", "warm"]) {
  const loads = Array.from({ length: kind === "cold" ? 1 : 5 }, timedLoad);
  const [cpu, wall] = ["cpu", "wall"].map((clock) => median(loads.map((load) => load[clock])).toFixed(3));
  console.log(`the encoder loads ${kind} in ${cpu} s of CPU time, ${wall} s by the clock`);
}
let encoder;
const library = await createLibraryEncoder(model);
const results = new Map();
try {
  for (let round = 0; round < rounds; round++) {
    // A new encoder: nothing is remembered from the last round.
    encoder = await createEncoder(model);
    add("mswitch, all of it", timed(encoder, texts));
    encoder = await createEncoder(model);
    add("mswitch, sample", timed(encoder, sample));
    for (const peer of ["sentencepiece", "tokenizers"]) addPeer(peer);
    if (round === 0) add("sentencepiece-js", timed(library, sample));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const base = median(results.get("sentencepiece") ?? [Number.NaN]);
console.log(`${total.toFixed(1)} MB, ${texts.length} documents; sample ${megabytes(sample).toFixed(1)} MB`);
for (const [name, speeds] of results) {
  const speed = median(speeds);
  const range = `${Math.min(...speeds).toFixed(1)} to ${Math.max(...speeds).toFixed(1)}`;
  console.log(
    `${name.padEnd(20)} ${speed.toFixed(1).padStart(7)} MB/s (${range}) ${(speed / base).toFixed(2).padStart(7)} times sentencepiece`,
  );
}

function timedLoad() {
  const script = `
    const { createEncoder } = await import(${JSON.stringify(new URL("../dist/vocab/encode/createEncoder.js", import.meta.url).href)});
    const cpu = process.cpuUsage();
    const wall = performance.now();
    await createEncoder(${JSON.stringify(model)});
    const { user, system } = process.cpuUsage(cpu);
    console.log(JSON.stringify({ cpu: (user + system) / 1e6, wall: (performance.now() - wall) / 1e3 }));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script]);
  if (status !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
}

function timed(encode, documents) {
  const before = process.cpuUsage();
  for (const text of documents) encode.encode(text);
  return megabytes(documents) / seconds(before);
}

function addPeer(peer) {
  const script = join(root, "bench/encode_peer.py");
  const { status, stdout, stderr } = spawnSync(python, [script, peer, model, samplePath], { encoding: "utf8" });
  if (status === 0) add(peer, megabytes(sample) / Number(stdout));
  else if (!results.has(peer)) console.error(`${peer}: not measured: ${stderr.trim().split("\n").at(-1)}`);
}

function add(name, speed) {
  results.set(name, [...(results.get(name) ?? []), speed]);
}

function megabytes(documents) {
  return documents.reduce((sum, text) => sum + text.length, 0) / 1e6;
}

function seconds(since) {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
}
