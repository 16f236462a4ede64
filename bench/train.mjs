// Whole training steps (forward, backward, Adafactor) of the mT5-Small shape and its Switch twins on the torch backend, with the
// rate that their matrix products reach alone, memory and a profile; beside them, in turn, Transformers or TensorFlow.js's wasm.
//   npm run bench:train                                            dense and 8 experts, bf16: about two minutes
//   npm run bench:train -- --peer transformers --steps 5
//   npm run bench:train -- --shape small --threads 1                preset tiny, 128 sequences of 64 and 17 tokens
//   npm run bench:train -- --config dense,switch8,switch32,switch128 --precision bf16,float32 --vocab 32128,250112
//   npm run bench:train -- --config dense --peer tfjs              a wasm step takes minutes: fewer sequences, fewer steps
//   --shape small --config dense,switch16 --in-turn --steps 25      steps of all configurations in turn, and their ratios alone
//   --beside 2                                                      the same steps beside two busy loops, and how many times as long
//   --threads N (both sides)  --batch N  --vocab N  --backend torch:cuda:0 (both sides)  --peak-tflops 989  --eager  --variants float32,bfloat16,compile (of Transformers)  --json
// Python with Transformers: MSWITCH_PYTHON, or what scripts/setup-python made.
import { spawn } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { oraclePython } from "../scripts/oraclePython.mjs";
import { parseFlags } from "../scripts/parseFlags.mjs";
import { startOurs, startTransformers, stepsInTurn, warmUp } from "./train/child.mjs";
import { describe, median, relations, summarise } from "./train/report.mjs";
import { configNames, shapes, tfjsBatchSize, tokensPerStep } from "./train/shapes.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    config: { type: "string", default: "dense,switch8" },
    precision: { type: "string", default: "bf16" },
    shape: { type: "string", default: "mt5-small" },
    vocab: { type: "string" },
    steps: { type: "string", default: "5" },
    batch: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
    backend: { type: "string", default: "torch" },
    peer: { type: "string", multiple: true, default: [] },
    variants: { type: "string", default: "float32,bfloat16,compile" },
    // Dense bfloat16 TFLOP/s of the device by its maker, for the share of them that a step reaches (MFU).
    "peak-tflops": { type: "string" },
    eager: { type: "boolean", default: false },
    beside: { type: "string", default: "0" },
    "in-turn": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const steps = Number(flags.steps);
/** What Transformers is given: the same device. */
const device = /^torch:(cuda:\d)$/.exec(flags.backend)?.[1] ?? (flags.backend === "torch:cuda" ? "cuda:0" : "cpu");
const threads = Number(flags.threads);
const python = oraclePython() ?? "python3";
const precisions = { bf16: "selective", float32: "float32", bfloat16: "bfloat16" };
const list = (text, known) => {
  const names = text.split(",");
  const unknown = known && names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`error: ${unknown}: there are ${known.join(", ")}\n`);
    process.exit(2);
  }
  return names;
};
const [shapeName] = list(flags.shape, Object.keys(shapes));
const shape = shapes[shapeName];
const batchSize = Number(flags.batch ?? shape.batch);
const vocabularies = (flags.vocab ?? String(shape.vocab)).split(",").map(Number);
const wasmBatchSize = Math.min(tfjsBatchSize, batchSize);
list(flags.peer.join() || "tfjs", ["transformers", "tfjs"]);

const ratioOf = (peer, ours, field) => median(peer.map((step, i) => step[field] / ours[i][field]));

/** A peer's steps, each after one of ours. A peer that fails is part of the result, not the end of it. */
async function race(ours, name, startPeer, { warmUps, rounds, batch, note }) {
  try {
    const peer = await startPeer();
    await warmUp(peer, warmUps);
    const [mine, its] = await stepsInTurn([ours, peer], rounds);
    const { peakMiB } = await peer.ask("peak");
    await peer.end();
    const scale = batchSize / batch;
    return {
      name,
      info: peer.info,
      summary: summarise(its, tokensPerStep(shape, batch)),
      peakMiB,
      ratio: scale * ratioOf(its, mine, "seconds"),
      cpuRatio: scale * ratioOf(its, mine, "cpuSeconds"),
      ...(note ? { note } : {}),
    };
  } catch (error) {
    return { name, error: error.message };
  }
}

/** Our steps beside processes that do nothing but compute, against the same steps alone. */
async function stepsBeside(child, alone, count) {
  const loops = Array.from({ length: count }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
  try {
    const [busy] = await stepsInTurn([child], Math.max(steps, 9));
    const seconds = median(busy.map((step) => step.seconds));
    return { count, seconds, ratio: seconds / median(alone.map((step) => step.seconds)) };
  } finally {
    for (const loop of loops) loop.kill();
  }
}

/** One configuration: our steps alone, then a peer's and ours in turn, then the ceiling in the same process. */
async function measure(config, vocab, precision) {
  const asTransformers = flags.peer.includes("transformers") && config !== "dense";
  const options = {
    ...{ shape: shapeName, config, vocab, precision: precisions[precision], threads, asTransformers },
    eager: flags.eager,
  };
  const child = await startOurs({ ...options, backend: flags.backend, batch: batchSize });
  await warmUp(child, 2);
  const [own] = await stepsInTurn([child], steps);
  const beside = Number(flags.beside) > 0 ? await stepsBeside(child, own, Number(flags.beside)) : undefined;
  const peers = [];
  if (flags.peer.includes("transformers")) {
    for (const variant of list(flags.variants, ["float32", "bfloat16", "compile"])) {
      const start = () =>
        startTransformers(python, { shape: shapeName, config, vocab, variant, threads, batch: batchSize, device });
      peers.push(await race(child, `Transformers ${variant}`, start, { warmUps: 2, rounds: steps, batch: batchSize }));
    }
  }
  if (flags.peer.includes("tfjs")) {
    const start = () => startOurs({ ...options, precision: "float32", backend: "wasm", batch: wasmBatchSize });
    const note = `wasm's steps are of ${wasmBatchSize} sequences, ours of ${batchSize}`;
    peers.push(await race(child, "TensorFlow.js wasm", start, { warmUps: 1, rounds: 2, batch: wasmBatchSize, note }));
  }
  const { peakMiB } = await child.ask("peak");
  const profile = await child.ask("profile");
  const ceiling = await child.ask("ceiling");
  await child.end();
  const hisBest = peers
    .filter((peer) => peer.ratio && peer.name.startsWith("Transformers"))
    .sort((a, b) => a.ratio - b.ratio)[0];
  return {
    config,
    vocab,
    precision,
    feedForward: asTransformers ? "relu" : "gated-gelu",
    ours: { info: child.info, summary: summarise(own, tokensPerStep(shape, batchSize)), peakMiB },
    ceiling,
    ...(flags["peak-tflops"] ? { peakFlops: Number(flags["peak-tflops"]) * 1e12 } : {}),
    profile,
    peers,
    ...(beside ? { beside } : {}),
    ...(hisBest ? { bestTransformers: { name: hisBest.name, ratio: hisBest.ratio } } : {}),
  };
}

/** Steps of several configurations in turn, against the first one's. @returns a line for each of the others */
async function compareInTurn(configs, vocab, precision) {
  const start = (config) =>
    startOurs({
      ...{ shape: shapeName, config, vocab, precision: precisions[precision], threads, eager: flags.eager },
      ...{ backend: flags.backend, batch: batchSize },
    });
  const children = [];
  for (const config of configs) children.push(await start(config));
  for (const child of children) await warmUp(child, 2);
  const [first, ...others] = await stepsInTurn(children, steps);
  for (const child of children) await child.end();
  return others.map((own, i) => {
    const [wall, cpu] = ["seconds", "cpuSeconds"].map((field) => ratioOf(own, first, field).toFixed(3));
    const perSecond = Math.round(tokensPerStep(shape, batchSize) / median(own.map((step) => step.seconds)));
    return `${configs[i + 1]}, ${vocab}, ${precision}: ${perSecond} tokens/s, ${wall}x ${configs[0]}'s step, in turn (${cpu}x a CPU second)`;
  });
}

const results = [];
const print = (text) => (flags.json ? console.error(text) : console.log(text));
print(
  `training steps, ${batchSize} sequences of ${shape.lengths.inputs} and ${shape.lengths.targets} tokens (${tokensPerStep(shape, batchSize)} a step), ${threads} threads, ${cpus()[0]?.model.trim() ?? "unknown processor"}; medians\n`,
);
for (const vocab of vocabularies) {
  for (const precision of list(flags.precision, Object.keys(precisions))) {
    const configs = list(flags.config, configNames);
    if (flags["in-turn"]) {
      for (const line of await compareInTurn(configs, vocab, precision)) print(line);
      continue;
    }
    for (const config of configs) {
      results.push(await measure(config, vocab, precision));
      print(describe(results.at(-1)).join("\n"));
    }
  }
}
for (const line of relations(results)) print(line);
if (flags.json) console.log(JSON.stringify({ date: new Date().toISOString(), threads, steps, results }, null, 2));
