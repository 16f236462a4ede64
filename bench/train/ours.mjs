// One model in one process, stepped by the lines it reads: step, profile, ceiling, end. Answers with one JSON line each.
//   node bench/train/ours.mjs '{"config": "dense", "vocab": 32128, "shape": "mt5-small", "precision": "selective", "backend": "torch", "batch": 8}'
import { createInterface } from "node:readline";
import { gemmKernels, precision, setGemm, setTorchThreads } from "@mswitch/tfjs-backend-torch";
import { loadBackend } from "../../dist/backends/loadBackend.js";
import { countParameters, stepFlops } from "../../dist/model/count.js";
import { disposeStep, lossAndGradients } from "../../dist/model/lossAndGradients.js";
import { parameterShapes } from "../../dist/model/parameters.js";
import { createOptimizer } from "../../dist/train/optimizer.js";
import { measureCeiling } from "./ceiling.mjs";
import { watchKernels } from "./profile.mjs";
import { modelConfig, shapes } from "./shapes.mjs";

const options = JSON.parse(process.argv[2]);
const { lengths } = shapes[options.shape];
const config = modelConfig(options.config, options);
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
const ids = (length) =>
  tf.tidy(() => tf.cast(tf.randomUniform([options.batch, length], 3, config.vocabSize, "float32", 1), "int32"));
const batch = { inputs: ids(lengths.inputs), targets: ids(lengths.targets) };
let steps = 0;

async function step() {
  const cpu = process.cpuUsage();
  const started = performance.now();
  const result = lossAndGradients(config, params, batch, { seed: 1, step: steps });
  const differentiated = performance.now();
  optimizer.update(result.gradients, { learningRate: 1e-3, step: steps, gradNorm: 1 });
  const [loss] = await result.loss.data();
  const ended = performance.now();
  disposeStep(result);
  steps++;
  const { user, system } = process.cpuUsage(cpu);
  return {
    loss,
    seconds: (ended - started) / 1e3,
    cpuSeconds: (user + system) / 1e6,
    optimizerSeconds: (ended - differentiated) / 1e3,
  };
}

// What narrows a matrix to the run's precision: on other backends and in float32, nothing.
const narrow = (x) => (torch && config.precision !== "float32" ? precision(x, "bfloat16") : x);

const commands = {
  step,
  async profile() {
    const watch = watchKernels(tf);
    const timed = await step();
    return { ...timed, ...watch.end() };
  },
  // Before the ceiling, whose own matrices would count.
  peak: () => ({ peakMiB: process.resourceUsage().maxRSS / 1024 }),
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
