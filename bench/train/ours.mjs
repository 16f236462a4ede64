// One model in one process, stepped by the lines it reads: step, profile, ceiling, end. Answers with one JSON line each.
//   node bench/train/ours.mjs '{"config": "dense", "vocab": 32128, "shape": "mt5-small", "precision": "selective", "backend": "torch", "batch": 8}'
import { createInterface } from "node:readline";
import { gemmKernels, precision, setGemm, setTorchThreads } from "@mswitch/tfjs-backend-torch";
import { deviceMemory } from "../../dist/backends/deviceMemory.js";
import { findGraphCapture } from "../../dist/backends/graphCapture.js";
import { loadBackend } from "../../dist/backends/loadBackend.js";
import { randomStream } from "../../dist/base/random.js";
import { countParameters, stepFlops } from "../../dist/model/count.js";
import { parameterShapes } from "../../dist/model/parameters.js";
import { createOptimizer } from "../../dist/train/optimizer.js";
import { createTrainStep } from "../../dist/train/step.js";
import { measureCeiling } from "./ceiling.mjs";
import { watchKernels } from "./profile.mjs";
import { modelConfig, shapes } from "./shapes.mjs";

const options = JSON.parse(process.argv[2]);
const { lengths } = shapes[options.shape];
const shaped = modelConfig(options.config, options);
const { dropout = 0, expertDropout = 0 } = options;
const config = { ...shaped, dropout, switch: shaped.switch && { ...shaped.switch, expertDropout } };
const torch = options.backend.startsWith("torch");
if (torch && options.threads) setTorchThreads(options.threads);
const { description, tf } = await loadBackend(options.backend);

/** Random weights of the right scale. Drawn once and repeated: a billion values from JavaScript would take minutes. */
function initialise() {
  const block = 1 << 20;
  const values = tf.randomNormal([block], 0, 1, "float32", 7);
  const params = new Map();
  for (const [parameter, shape] of parameterShapes(config)) {
    const size = shape.reduce((product, length) => product * length, 1);
    const variable = tf.tidy(() => {
      if (shape.length === 1) return tf.variable(tf.ones(shape));
      const deviation = parameter === "shared.weight" || parameter.includes("embed_tokens") ? 1 : shape.at(-1) ** -0.5;
      const repeated = tf.tile(tf.mul(values, deviation * (parameter.endsWith(".q.weight") ? 0.125 : 1)), [
        Math.ceil(size / block),
      ]);
      return tf.variable(tf.reshape(tf.slice(repeated, 0, size), shape));
    });
    params.set(parameter, variable);
  }
  values.dispose();
  return params;
}

const params = initialise();
const optimizer = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 128 });
const { uint32 } = randomStream(1, "bench");
const ids = (length) =>
  Int32Array.from({ length: options.batch * length }, () => 3 + (uint32() % (config.vocabSize - 3)));
const batch = { batchSize: options.batch, lengths, inputs: ids(lengths.inputs), targets: ids(lengths.targets) };
const notes = [];
// As training runs it: captured as a graph where the device can.
const trainStep = createTrainStep({
  model: config,
  params,
  optimizer,
  seed: 1,
  run: "bench",
  capture: options.eager ? undefined : await findGraphCapture(),
  onEager: (why) => notes.push(why),
});
const eagerStep = createTrainStep({ model: config, params, optimizer, seed: 1, run: "bench" });
const synchronize = () => tf.backend().synchronize?.();
let steps = 0;

/** Seconds between two moments at which the device has nothing left to do. */
async function timed(run) {
  const cpu = process.cpuUsage();
  synchronize();
  const started = performance.now();
  const { result, dispose } = await run(batch, { step: steps, learningRate: 1e-3 });
  synchronize();
  const seconds = (performance.now() - started) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  const [loss] = await result.loss.data();
  dispose();
  steps++;
  return { loss, seconds, cpuSeconds: (user + system) / 1e6, ...(notes.length > 0 ? { notes } : {}) };
}

// What narrows a matrix to the run's precision: on other backends and in float32, nothing.
const narrow = (x) => (torch && config.precision !== "float32" ? precision(x, "bfloat16") : x);

const commands = {
  step: () => timed(trainStep),
  async profile() {
    const watch = watchKernels(tf, synchronize, (name) => name.startsWith("TorchAda") || name.startsWith("TorchMuon"));
    const step = await timed(eagerStep);
    return { ...step, ...watch.end() };
  },
  // Before the ceiling, whose own matrices would count.
  peak: () => ({ peakMiB: deviceMemory() ? deviceMemory().peak / 2 ** 20 : process.resourceUsage().maxRSS / 1024 }),
  ceiling: () =>
    measureCeiling(
      tf,
      narrow,
      config,
      lengths,
      options.batch,
      torch ? { kernels: gemmKernels, set: setGemm } : undefined,
    ),
};

console.log(
  JSON.stringify({
    description,
    parameters: countParameters(config).total,
    flops: stepFlops(config, options.batch, lengths).total,
    tensors: tf.memory().numTensors,
  }),
);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  console.log(JSON.stringify(await commands[line]()));
}
process.exit(0);
