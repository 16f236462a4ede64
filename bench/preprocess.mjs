// Preprocessing against its peers, in one run and in turn: our encoder against SentencePiece's library, Hugging Face's tokenizers
// and sentencepiece-js, and `mswitch preprocess` against a Python pipeline (gzip, json, sentencepiece, pyarrow) and `datasets.map`.
//   npm run bench:preprocess -- [--source DIR] [--vocab FILE] [--rounds N] [--sample-mb N] [--json]
// After npm run build. Python: MSWITCH_PYTHON, or what scripts/setup-python made; a peer that it lacks is named and left out.
// Speeds are MB of text (UTF-8) a second; "all" is every shard of the source, "sample" every n-th, for the slow ones.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { oraclePython } from "../scripts/oraclePython.mjs";
import { parseFlags } from "../scripts/parseFlags.mjs";
import { measureInflate, readShards, writeRecords } from "./preprocessInput.mjs";
import { printResults } from "./preprocessReport.mjs";
import { canPin, runTimed } from "./runTimed.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseFlags(import.meta.url, {
  options: {
    source: { type: "string", default: join(root, "data/sample") },
    vocab: { type: "string", default: join(root, "vocab/sample.model") },
    rounds: { type: "string", default: "3" },
    "sample-mb": { type: "string", default: "12" },
    json: { type: "boolean", default: false },
  },
});
const model = resolve(values.vocab);
const python = oraclePython() ?? "python3";
const rounds = Number(values.rounds);
const scratch = mkdtempSync(join(tmpdir(), "mswitch-bench-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

if (!canPin) process.stderr.write("no taskset here: nothing holds the runs on one core to one core\n");
const shards = readShards(resolve(values.source));
const total = shards.reduce((sum, { textBytes }) => sum + textBytes, 0);
const every = Math.max(1, Math.round(total / 1e6 / Number(values["sample-mb"])));
const sets = {
  all: await makeSet("all", shards),
  sample: await makeSet(
    "sample",
    shards.filter((_, i) => i % every === 0),
  ),
  // Hardly any work: what is left is starting up, loading the vocabulary and ending.
  smallest: await makeSet("smallest", [...shards].sort((a, b) => a.textBytes - b.textBytes).slice(0, 1)),
};

/** Links the shards of a set into a folder of their own, and writes their texts to a file of records. */
async function makeSet(name, chosen) {
  const source = join(scratch, name);
  mkdirSync(source);
  for (const { path } of chosen) symlinkSync(path, join(source, basename(path)));
  const records = `${source}.records`;
  const counts = writeRecords(chosen, records);
  return { name, shards: chosen.length, every: name === "sample" ? every : 1, source, records, ...counts };
}

const peer = join(root, "bench/preprocess_peer.py");
let outputs = 0;
const newFolder = () => join(scratch, `out-${outputs++}`);

/** Encoders print their own seconds, without those of loading. */
const encoder = (side, command) => ({
  what: "encoder",
  side,
  run: async ({ records }, cores) =>
    JSON.parse((await runTimed([...command, model, records, String(cores)], cores)).stdout),
});
/** Pipelines are timed as commands, from start to end. */
const pipeline = (side, command) => ({
  what: "pipeline",
  side,
  run: async ({ source }, cores) => {
    // Left there until all is measured: ext4 looks through the files deleted lately whenever it makes a new one.
    const { cpu, wall, stdout } = await runTimed(command(source, newFolder(), String(cores)), cores);
    const result = JSON.parse(stdout);
    return { cpu, wall, tokens: result.tokens ?? result.total.tokens, cost: result.cost };
  },
});
const node = process.execPath;
const sides = {
  mswitch: encoder("mswitch", [node, join(root, "bench/encodeSide.mjs"), "mswitch"]),
  sentencepiece: encoder("sentencepiece", [python, peer, "encode", "sentencepiece"]),
  tokenizers: encoder("tokenizers", [python, peer, "encode", "tokenizers"]),
  "sentencepiece-js": encoder("sentencepiece-js", [node, join(root, "bench/encodeSide.mjs"), "sentencepiece-js"]),
  preprocess: pipeline("mswitch preprocess", (source, out, workers) => [
    ...[node, join(root, "bin/run.js"), "preprocess", "--source", source, "--vocab", model],
    ...["--out", out, "--workers", workers, "--json"],
  ]),
  python: pipeline("Python pipeline", (...rest) => [python, peer, "pipeline", model, ...rest]),
  datasets: pipeline("datasets.map", (...rest) => [python, peer, "datasets", model, ...rest]),
};
const plan = [
  ["all", "mswitch", 1],
  ["all", "sentencepiece", 1],
  ["all", "mswitch", 2],
  ["all", "preprocess", 1],
  ["all", "python", 1],
  ["all", "preprocess", 2],
  ["all", "python", 2],
  ...Object.keys(sides).flatMap((side) => [1, 2].map((cores) => ["sample", side, cores])),
  ...["preprocess", "python", "datasets"].map((side) => ["smallest", side, 1]),
];

const results = new Map();
const missing = {};
const inflate = [];
for (let round = 0; round < rounds; round++) {
  inflate.push(await measureInflate(shards));
  for (const [set, name, cores] of plan) {
    if (name in missing) continue;
    try {
      process.stderr.write(
        `round ${round + 1} of ${rounds}: ${sides[name].side}, ${set}, ${cores} of ${cpus().length} cores\n`,
      );
      const key = `${set} ${name} ${cores}`;
      results.set(key, [...(results.get(key) ?? []), await sides[name].run(sets[set], cores)]);
    } catch (error) {
      missing[name] = String(error.message ?? error)
        .trim()
        .split("\n")
        .at(-1);
      process.stderr.write(`${sides[name].side}: not measured: ${missing[name]}\n`);
    }
  }
}
printResults({ values, rounds, sets, sides, plan, results, missing, inflate, json: values.json });
