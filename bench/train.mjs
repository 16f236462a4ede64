// A training step (forward, backward, Adafactor) of the demo's models on `wasm` against `cpu`, and Switch against dense, in turn.
//   node bench/train.mjs
import { loadBackend } from "../dist/backends/loadBackend.js";
import { stepFlops } from "../dist/model/count.js";
import { disposeStep, lossAndGradients } from "../dist/model/lossAndGradients.js";
import { disposeParameters, initParameters } from "../dist/model/parameters.js";
import { preset } from "../dist/model/presets.js";
import { createOptimizer } from "../dist/train/optimizer.js";
import { cpuSeconds, medianInTurn } from "./median.mjs";

const batchSize = 16;
const lengths = { inputs: 64, targets: 14 };

async function stepSeconds(backend, config) {
  const { tf } = await loadBackend(backend);
  const params = initParameters(config, 1);
  const optimizer = createOptimizer(params, 128);
  const ids = (length) =>
    tf.tidy(() => tf.cast(tf.randomUniform([batchSize, length], 3, config.vocabSize, "float32", 1), "int32"));
  const data = { inputs: ids(lengths.inputs), targets: ids(lengths.targets) };
  const step = async (n) => {
    const result = lossAndGradients(config, params, data, { seed: 1, step: n });
    optimizer.update(result.gradients, { learningRate: 0.01, step: n });
    await result.loss.data();
    disposeStep(result);
  };
  await step(0);
  const seconds = await cpuSeconds(() => step(1));
  tf.dispose([data.inputs, data.targets]);
  optimizer.dispose();
  disposeParameters(params);
  return seconds;
}

const dense = preset("tiny");
const sparse = preset("tiny-switch");
const sides = [() => stepSeconds("wasm", dense), () => stepSeconds("wasm", sparse), () => stepSeconds("cpu", dense)];
const [wasm, wasmSwitch, cpu] = await medianInTurn(sides, 5);
const flops = (config) => stepFlops(config, batchSize, lengths).total;
const line = (name, seconds, config) =>
  console.log(
    `  ${name.padEnd(20)} ${(1e3 * seconds).toFixed(0)} ms  ${(flops(config) / seconds / 1e9).toFixed(1)} GFLOP/s`,
  );
console.log("training step of the demo's models, CPU time, medians of 5 rounds");
line("dense on wasm", wasm, dense);
line("Switch (8) on wasm", wasmSwitch, sparse);
line("dense on cpu", cpu, dense);
console.log(`  wasm against cpu ${(cpu / wasm).toFixed(2)}, Switch against dense ${(wasmSwitch / wasm).toFixed(2)}`);
