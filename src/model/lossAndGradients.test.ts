import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { expectClose, testBackends } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import type { ModelConfig } from "./config.js";
import { disposeExampleLogProbs, exampleLogProbs, logits } from "./exampleLogProbs.js";
import { disposeStep, lossAndGradients, type ModelBatch, type StepResult } from "./lossAndGradients.js";
import { disposeParameters, initParameters, type Parameters } from "./parameters.js";
import { preset, switchTwin } from "./presets.js";

const dense: ModelConfig = { ...preset("tiny"), vocabSize: 40, dModel: 16, dFf: 24, dKv: 4 };
const sparse = switchTwin(dense, { experts: 4, group: "batch", jitter: 0, zLossWeight: 0.001 });

const inputIds = [
  [5, 17, 30, 33, 9, 4, 1],
  [24, 8, 9, 1, 0, 0, 0],
];
const targetIds = [
  [35, 20, 21, 34, 1],
  [35, 7, 1, 0, 0],
];

describe.each(testBackends)("lossAndGradients on %s", (backend) => {
  let batch: ModelBatch;
  let open: Parameters[] = [];
  beforeAll(async () => {
    await loadBackend(backend);
    batch = { inputs: tf.tensor2d(inputIds, undefined, "int32"), targets: tf.tensor2d(targetIds, undefined, "int32") };
  });
  afterEach(() => {
    for (const params of open) disposeParameters(params);
    open = [];
  });
  const fresh = (config: ModelConfig, seed = 3): Parameters => {
    const params = initParameters(config, seed);
    open.push(params);
    return params;
  };
  const run = (config: ModelConfig, params: Parameters, step = 0): StepResult =>
    lossAndGradients(config, params, batch, { seed: 1, step });

  it("tells of each gradient once in the backward pass, the output layer's first and the embedding's last", () => {
    const params = fresh(sparse);
    const told = new Map<string, tf.Tensor>();
    const onGradient = (name: string, gradient: tf.Tensor): void => {
      expect(told.has(name)).toBe(false);
      told.set(name, tf.keep(gradient.clone()));
    };
    const result = lossAndGradients(sparse, params, batch, { seed: 1, step: 0, onGradient });
    expect([...told.keys()].sort()).toEqual([...params.keys()].sort());
    expect([...told.keys()][0]).toBe("lm_head.weight");
    expect([...told.keys()].at(-1)).toBe("shared.weight");
    const plain = run(sparse, params);
    for (const [name, gradient] of plain.gradients) {
      expect(told.get(name)!.dataSync()).toEqual(gradient.dataSync());
      expect(result.gradients.get(name)!.dataSync()).toEqual(gradient.dataSync());
    }
    tf.dispose([...told.values()]);
    for (const one of [plain, result]) disposeStep(one);
  });

  it.each([
    ["dense", dense],
    ["Switch", sparse],
  ])("%s: the gradient predicts what a small step along any parameter does to the loss", (_, config) => {
    const params = fresh(config);
    for (const [name, variable] of params) {
      if (name.includes("router")) tf.tidy(() => variable.assign(tf.mul(variable, 30)));
    }
    const { gradients, ...rest } = run(config, params);
    expect([...gradients.keys()]).toEqual([...params.keys()]);
    for (const [name, variable] of params) {
      const gradient = gradients.get(name)!;
      expect(gradient.shape).toEqual(variable.shape);
      const norm = tf.tidy(() => tf.norm(gradient).dataSync()[0]);
      if (norm < 0.03) continue;
      const original = tf.clone(variable);
      const at = (distance: number): { loss: number; routing: string } => {
        tf.tidy(() => variable.assign(tf.add(original, tf.mul(gradient, distance / norm))));
        const moved = run(config, params);
        const loss = moved.loss.dataSync()[0];
        const routing = moved.routing.map(({ expertCounts }) => expertCounts.dataSync().join()).join();
        disposeStep(moved);
        return { loss, routing };
      };
      // As long a step as leaves every token with its expert: there the loss jumps.
      const steps = [0.02, 0.01, 0.004, 0.001];
      const distance = steps.find((d) => at(d).routing === at(0).routing && at(-d).routing === at(0).routing);
      expect(distance, name).toBeDefined();
      const slope = (at(distance!).loss - at(-distance!).loss) / (2 * distance!);
      variable.assign(original);
      original.dispose();
      expect(Math.abs(slope / norm - 1), name).toBeLessThan(0.05);
    }
    disposeStep({ gradients, ...rest });
  });

  it.each([
    ["dense", dense],
    [
      "Switch",
      switchTwin(dense, {
        experts: 4,
        group: "batch",
        jitter: 0,
        auxLossWeight: 0,
        capacity: { train: 4, evaluation: "none" },
      }),
    ],
    ["a table of positions in each layer", { ...dense, relativeBiasPerLayer: true }],
  ] as [string, ModelConfig][])("%s: packed rows have the loss and the gradients of a row each", (_, config) => {
    const params = fresh(config);
    const rows = (ids: number[][]): tf.Tensor2D => tf.tensor2d(ids, undefined, "int32");
    const pairs = {
      inputs: [
        [5, 17, 1, 0],
        [30, 33, 9, 1],
        [24, 1, 0, 0],
      ],
      targets: [
        [35, 1, 0],
        [20, 21, 1],
        [7, 1, 0],
      ],
    };
    const packed = {
      inputs: [
        [5, 17, 1, 30, 33, 9, 1, 0],
        [24, 1, 0, 0, 0, 0, 0, 0],
      ],
      targets: [
        [35, 1, 20, 21, 1, 0],
        [7, 1, 0, 0, 0, 0],
      ],
    };
    const [one, several] = [pairs, packed].map(({ inputs, targets }, i) => {
      const ids: ModelBatch = { inputs: rows(inputs), targets: rows(targets), ...(i === 1 ? { endId: 1 } : {}) };
      const result = lossAndGradients(config, params, ids, { seed: 1, step: 0 });
      tf.dispose([ids.inputs, ids.targets]);
      return result;
    });
    expectClose(several.loss.dataSync(), [...one.loss.dataSync()]);
    for (const [name, gradient] of one.gradients) {
      const [a, b] = [gradient.dataSync(), several.gradients.get(name)!.dataSync()];
      const scale = Math.max(...a.map(Math.abs), 1e-3);
      expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]))) / scale, name).toBeLessThan(1e-4);
    }
    disposeStep(one);
    disposeStep(several);
  });

  it("leaves nothing behind, in training and in evaluation", () => {
    const params = fresh(sparse);
    const before = tf.memory().numTensors;
    disposeStep(run(sparse, params));
    expect(tf.memory().numTensors).toBe(before);
    disposeExampleLogProbs(exampleLogProbs(sparse, params, batch));
    expect(tf.memory().numTensors).toBe(before);
  });

  it("the loss is the sum of its parts, the cross-entropy the mean over real targets", () => {
    const params = fresh(sparse);
    const { loss, crossEntropy, auxLoss, zLoss, routing, ...rest } = run(sparse, params);
    expectClose(loss.dataSync(), tf.add(crossEntropy, tf.add(auxLoss, zLoss)).dataSync());
    // Two layers, each α where balanced and N·α where collapsed.
    expect(auxLoss.dataSync()[0]).toBeGreaterThanOrEqual(0.02 * 0.999);
    expect(auxLoss.dataSync()[0]).toBeLessThan(0.08);
    expect(zLoss.dataSync()[0]).toBeGreaterThan(0);
    expect(routing.map(({ layer }) => layer)).toEqual(["encoder.1", "decoder.1"]);
    const {
      logProbs,
      tokens,
      routing: evaluated,
    } = exampleLogProbs({ ...sparse, switch: { ...sparse.switch!, capacity: { absolute: 64 } } }, params, batch);
    expect([...tokens.dataSync()]).toEqual([5, 3]);
    const { crossEntropy: undropped, ...others } = run(
      { ...sparse, switch: { ...sparse.switch!, capacity: { absolute: 64 } } },
      params,
    );
    expectClose(undropped.dataSync(), [-(logProbs.dataSync()[0] + logProbs.dataSync()[1]) / 8]);
    disposeStep({ crossEntropy: undropped, ...others });
    disposeStep({ loss, crossEntropy, auxLoss, zLoss, routing, ...rest });
    disposeExampleLogProbs({ logProbs, tokens, routing: evaluated });
  });

  it("the same seed and step give the same bits, another step other noise", () => {
    const noisy: ModelConfig = {
      ...sparse,
      dropout: 0.1,
      switch: { ...sparse.switch!, jitter: 0.01, expertDropout: 0.4 },
    };
    const params = fresh(noisy);
    const values = (step: number): number[] => {
      const result = run(noisy, params, step);
      const out = [...result.loss.dataSync(), ...result.gradients.get("shared.weight")!.dataSync()];
      disposeStep(result);
      return out;
    };
    expect(values(5)).toEqual(values(5));
    expect(values(5)[0]).not.toBe(values(6)[0]);
  });

  it("a row does not see another row, padding behind it, or its own future", () => {
    const params = fresh(dense);
    const whole = logits(dense, params, batch).arraySync();
    const alone = logits(dense, params, {
      inputs: tf.tensor2d([inputIds[1].slice(0, 4)], undefined, "int32"),
      targets: tf.tensor2d([[...targetIds[1].slice(0, 3), 39]], undefined, "int32"),
    }).arraySync();
    for (let t = 0; t < 3; t++) expectClose(alone[0][t], whole[1][t]);
  });

  it("one expert without overflow is the dense layer, times a gate of 1", () => {
    const one = switchTwin(dense, { experts: 1, capacity: { absolute: 64 }, ignorePadding: false });
    const params = fresh(one);
    const names = [...params].map(([name, variable]): [string, tf.Variable] => {
      const own = name.replace(".mlp.experts.", ".DenseReluDense.").replace(".mlp.", ".DenseReluDense.");
      return [
        own,
        tf.tidy(() => tf.variable(tf.reshape(variable, variable.shape.slice(name.includes(".experts.") ? 1 : 0)))),
      ];
    });
    const twin = new Map(names.filter(([name]) => !name.includes("router")));
    open.push(new Map(names));
    expectClose(logits(one, params, batch).dataSync(), logits(dense, twin, batch).dataSync());
  });
});
