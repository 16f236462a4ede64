import { torchStatus } from "@mswitch/tfjs-backend-torch";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { loadBackend } from "../src/backends/loadBackend.js";
import { randomStream } from "../src/base/random.js";
import type { ModelConfig } from "../src/model/config.js";
import { disposeStep, lossAndGradients } from "../src/model/lossAndGradients.js";
import { disposeParameters, initParameters } from "../src/model/parameters.js";
import { preset, switchTwin } from "../src/model/presets.js";
import { optimizerSchema } from "../src/train/config/optimizerConfig.js";
import { createOptimizer } from "../src/train/optimizer.js";

const torch = torchStatus();
// "torch": the path for CUDA run on the CPU (test/emulatedCuda.test.ts), held to the references on wasm in float32.
const device =
  process.env.MSWITCH_TEST_DEVICE ?? (torch.available && torch.info.cudaDevices > 0 ? "torch:cuda:0" : undefined);
const isEmulated = device === "torch";
const lengths = isEmulated ? { batch: 2, inputs: 70, targets: 20 } : { batch: 4, inputs: 512, targets: 114 };
const small: ModelConfig = isEmulated
  ? { ...preset("tiny"), heads: 2, vocabSize: 304, init: { scheme: "t5" } }
  : { ...preset("mt5-small"), encoderLayers: 2, decoderLayers: 2, vocabSize: 8192 };
const models: Record<string, ModelConfig> = {
  dense: small,
  switch: switchTwin(small, { experts: 8, jitter: 0 }),
  // The same numbers are drawn wherever it runs.
  "switch of two with noise": switchTwin({ ...small, dropout: 0.1 }, { experts: 8, topK: 2, expertDropout: 0.4 }),
};
// A first step of AdamW is the gradient's sign but for ε: with a small one rounding near 0 would decide.
const adamw = { learningRate: { schedule: "constant", base: 0.01 }, epsilon: 1e-3 } as const;
const optimizers = [{ minFactoredSize: 32 }, { algorithm: "adamw", ...adamw }, { algorithm: "muon", ...adamw }].map(
  (options) => optimizerSchema.parse(options),
);

/** Loss, gradients and weights of one step by each optimizer; the same weights and batch on every backend. */
async function oneStep(backend: string, config: ModelConfig) {
  await loadBackend(backend);
  const params = initParameters(config, 1);
  const { uint32 } = randomStream(3, "batch");
  const ids = (length: number): tf.Tensor2D => {
    // Some rows end in padding.
    const values = Array.from({ length: lengths.batch * length }, (_, i) =>
      i % length > length - 5 && i % 3 === 0 ? 0 : 3 + (uint32() % (config.vocabSize - 3)),
    );
    return tf.tensor2d(values, [lengths.batch, length], "int32");
  };
  const batch = { inputs: ids(lengths.inputs), targets: ids(lengths.targets) };
  const step = lossAndGradients(config, params, batch, { seed: 1, step: 0 });
  const loss = step.loss.dataSync()[0];
  const gradients = new Map([...step.gradients].map(([name, gradient]) => [name, gradient.dataSync()]));
  const values = optimizers.map((options) => {
    const optimizer = createOptimizer(params, options);
    optimizer.update(step.gradients, { learningRate: 0.01, step: 0, gradNorm: 1 });
    optimizer.dispose();
    return new Map([...params].map(([name, value]) => [name, value.dataSync()]));
  });
  disposeStep(step);
  disposeParameters(params);
  tf.dispose([batch.inputs, batch.targets]);
  return { loss, gradients, values };
}

/** The largest |a − b| / |a| (Euclidean) of all tensors, and whose it is. */
function worst(
  a: Map<string, ArrayLike<number>>,
  b: Map<string, ArrayLike<number>>,
): { name: string; relative: number } {
  let result = { name: "", relative: 0 };
  for (const [name, expected] of a) {
    const actual = b.get(name)!;
    let difference = 0;
    let size = 0;
    for (let i = 0; i < expected.length; i++) {
      difference += (expected[i] - actual[i]) ** 2;
      size += expected[i] ** 2;
    }
    const relative = Math.sqrt(difference / (size || 1));
    if (!(relative <= result.relative)) result = { name, relative };
  }
  return result;
}

describe.skipIf(!device)("one training step on CUDA against the CPU", () => {
  // In bfloat16 a token near a tie goes to another expert, and that expert's gradient with it.
  it.each([
    ["dense", "float32", 1e-4, 1e-3],
    ["dense", "selective", 2e-2, 0.08],
    ["switch", "float32", 1e-4, 1e-3],
    ["switch", "selective", 2e-2, 0.3],
    ["switch of two with noise", "float32", 1e-4, 1e-3],
    ["switch of two with noise", "selective", 2e-2, 0.3],
  ] as const)("%s, %s: loss to %s, every gradient to %s of its norm", async (name, precision, lossLimit, limit) => {
    const config: ModelConfig = { ...models[name], precision };
    const expected = isEmulated
      ? await oneStep("wasm", { ...config, precision: "float32" })
      : await oneStep("torch:cpu", config);
    const actual = await oneStep(device!, config);
    const gradients = worst(expected.gradients, actual.gradients);
    console.log(
      `${name} ${precision}: loss ${expected.loss} ${actual.loss}; gradients off ${gradients.relative} in ${gradients.name}`,
    );
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(lossLimit);
    expect(gradients.relative, gradients.name).toBeLessThan(limit);
    for (const [i, { algorithm }] of optimizers.entries())
      expect(worst(expected.values[i], actual.values[i]).relative, algorithm).toBeLessThan(limit);
  });
});
