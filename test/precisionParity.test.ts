import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { randomStream } from "../src/base/random.js";
import type { ModelConfig } from "../src/model/config.js";
import { logits } from "../src/model/exampleLogProbs.js";
import { disposeStep, lossAndGradients } from "../src/model/lossAndGradients.js";
import { disposeParameters, initParameters } from "../src/model/parameters.js";
import { preset } from "../src/model/presets.js";
import { createOptimizer } from "../src/train/optimizer.js";
import { describeTorch, gemmNames, withGemm } from "./helpers/fastPaths.js";
import { expectClose } from "./helpers/tensors.js";

const steps = 200;
const shape = { batch: 8, inputs: 32, targets: 16, vocab: 96 };

/**
 * A language to learn: a sentence is a walk with a fixed step, and the target goes on where the input ends. Three tokens in ten are
 * any at all, so that the loss keeps a floor: a relative difference of losses near 0 would compare rounding with rounding.
 */
function makeBatch(step: number): { inputs: tf.Tensor2D; targets: tf.Tensor2D } {
  const { uint32 } = randomStream(7, "parity", step);
  const [inputs, targets]: number[][] = [[], []];
  for (let row = 0; row < shape.batch; row++) {
    const [start, stride] = [uint32() % 90, 1 + (uint32() % 5)];
    const at = (i: number) => 3 + (uint32() % 10 < 3 ? uint32() % 90 : (start + stride * i) % 90);
    for (let i = 0; i < shape.inputs; i++) inputs.push(at(i));
    for (let i = 0; i < shape.targets; i++) targets.push(at(shape.inputs + i));
  }
  return {
    inputs: tf.tensor2d(inputs, [shape.batch, shape.inputs], "int32"),
    targets: tf.tensor2d(targets, [shape.batch, shape.targets], "int32"),
  };
}

/** Cross-entropy of every step. */
function train(config: ModelConfig, count = steps): number[] {
  const params = initParameters(config, 1);
  const optimizer = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 32 });
  const losses = Array.from({ length: count }, (_, step) => {
    const batch = makeBatch(step);
    const result = lossAndGradients(config, params, batch, { seed: 1, step });
    optimizer.update(result.gradients, { learningRate: 0.003, step, gradNorm: 1 });
    const loss = result.crossEntropy.dataSync()[0];
    disposeStep(result);
    tf.dispose([batch.inputs, batch.targets]);
    return loss;
  });
  optimizer.dispose();
  disposeParameters(params);
  return losses;
}

/** Share of the rows in which no value differs by more than `tolerance` of the largest of all. */
function shareOfCloseRows(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  width: number,
  tolerance: number,
): number {
  const scale = Math.max(...Array.from(expected, Math.abs));
  const rows = expected.length / width;
  const close = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: width }, (_, i) => Math.abs(actual[row * width + i] - expected[row * width + i])),
  ).filter((differences) => Math.max(...differences) <= tolerance * scale);
  return close.length / rows;
}

describeTorch("precision", () => {
  it.each(["tiny", "tiny-switch"] as const)(
    "%s: selective bfloat16's loss stays close to float32's for 20 steps, by each of this CPU's products",
    async (name) => {
      const config: ModelConfig = { ...preset(name), vocabSize: shape.vocab, dropout: 0 };
      const exact = train({ ...config, precision: "float32" }, 20);
      for (const kernels of gemmNames.bfloat16) {
        const selective = await withGemm("bfloat16", kernels, () => train({ ...config, precision: "selective" }, 20));
        expectClose(selective, exact, 0.01);
      }
      for (const kernels of gemmNames.float32) {
        const again = await withGemm("float32", kernels, () => train({ ...config, precision: "float32" }, 20));
        expectClose(again, exact, 1e-3);
      }
    },
  );

  it.each(["tiny", "tiny-switch"] as const)(
    "%s: selective bfloat16's logits are float32's to 2e-2 of the largest",
    (name) => {
      const config: ModelConfig = { ...preset(name), vocabSize: shape.vocab, dropout: 0 };
      const params = initParameters(config, 1);
      const [exact, selective] = (["float32", "selective"] as const).map((precision) =>
        tf.tidy(() => logits({ ...config, precision }, params, makeBatch(0)).dataSync()),
      );
      if (name === "tiny") expectClose(selective, exact, 2e-2);
      // A token near a tie goes to another expert, whatever the kernels: nearly all others must agree.
      else expect(shareOfCloseRows(selective, exact, shape.vocab, 2e-2)).toBeGreaterThan(0.9);
      disposeParameters(params);
    },
  );

  it.each(["tiny", "tiny-switch"] as const)(
    "%s: selective bfloat16's loss stays close to float32's for 200 steps (1 in 100)",
    (name) => {
      const config: ModelConfig = { ...preset(name), vocabSize: shape.vocab, dropout: 0 };
      const before = tf.memory().numTensors;
      const exact = train({ ...config, precision: "float32" });
      const selective = train({ ...config, precision: "selective" });
      expect(tf.memory().numTensors).toBe(before);
      // It learned something, or the comparison would say nothing.
      expect(exact[steps - 1]).toBeLessThan(0.97 * exact[0]);
      const differences = exact.map((loss, step) => Math.abs(selective[step] - loss) / loss);
      expect(Math.max(...differences)).toBeLessThan(0.01);
      expect(Math.max(...differences)).toBeGreaterThan(0);
    },
    180_000,
  );
});
