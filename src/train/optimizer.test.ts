import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeTorch } from "../../test/helpers/fastPaths.js";
import { expectClose, random } from "../../test/helpers/tensors.js";
import { loadBackend } from "../backends/loadBackend.js";
import { precision } from "../ops/precision.js";
import { gradientNorm } from "./gradientNorm.js";
import { createOptimizer, type OptimizerOptions } from "./optimizer.js";

let folder: string;
beforeAll(async () => {
  await loadBackend("cpu");
  folder = mkdtempSync(join(tmpdir(), "mswitch-optimizer-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A factored matrix, a stack of two experts, and a vector. */
const shapes = { matrix: [4, 6], experts: [2, 4, 5], norm: [3] };

const newParams = (sizes: Record<string, number[]> = shapes): Map<string, tf.Variable> =>
  new Map(Object.entries(sizes).map(([name, shape]) => [name, tf.tidy(() => tf.variable(tf.fill(shape, 0.5)))]));

const gradients = (seed: number): Map<string, tf.Tensor> =>
  new Map(Object.entries(shapes).map(([name, shape], i) => [name, tf.randomNormal(shape, 0, 1, "float32", seed + i)]));

const values = (params: Map<string, tf.Variable>): number[][] =>
  [...params.values()].map((param) => [...param.dataSync()]);

test("moments that were saved and restored go on as if they had stayed", async () => {
  const directory = mkdtempSync(join(folder, "going-on-"));
  const params = newParams();
  const optimizer = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 4 });
  const before = tf.memory().numTensors;
  const first = gradients(1);
  optimizer.update(first, { learningRate: 0.01, step: 0, gradNorm: 1 });
  tf.dispose([...first.values()]);
  expect(tf.memory().numTensors).toBe(before);
  await optimizer.save(directory);

  const copies = newParams();
  for (const [name, copy] of copies) copy.assign(params.get(name)!);
  const restored = createOptimizer(copies, { algorithm: "adafactor", minFactoredSize: 4 });
  await restored.restore(directory);
  const second = gradients(10);
  optimizer.update(second, { learningRate: 0.01, step: 1, gradNorm: 1 });
  restored.update(second, { learningRate: 0.01, step: 1, gradNorm: 1 });
  expect(values(copies)).toEqual(values(params));

  const fresh = createOptimizer(copies, { algorithm: "adafactor", minFactoredSize: 4 });
  fresh.update(second, { learningRate: 0.01, step: 1, gradNorm: 1 });
  expect(values(copies)).not.toEqual(values(params));
  tf.dispose([...second.values()]);
});

test("the state of another model is refused", async () => {
  const directory = mkdtempSync(join(folder, "other-"));
  await createOptimizer(newParams({ matrix: [4, 7] }), { algorithm: "adafactor", minFactoredSize: 4 }).save(directory);
  await expect(
    createOptimizer(newParams({ matrix: [4, 6] }), { algorithm: "adafactor", minFactoredSize: 4 }).restore(directory),
  ).rejects.toMatchObject({
    code: "optimizer-state-mismatch",
    where: directory,
    why: expect.stringContaining("[7], not [6]"),
  });
  await expect(
    createOptimizer(newParams(), { algorithm: "adafactor", minFactoredSize: 4 }).restore(directory),
  ).rejects.toMatchObject({
    code: "optimizer-state-mismatch",
  });
});

const named = {
  "shared.weight": [6, 4],
  "encoder.block.0.layer.0.SelfAttention.q.weight": [4, 4],
  "encoder.block.0.layer.1.mlp.router.classifier.weight": [2, 4],
  "encoder.block.0.layer.1.mlp.experts.wi.weight": [2, 8, 4],
  "encoder.final_layer_norm.weight": [4],
};
const hyper = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5, scaleByParameterRms: false };
const muonOptions: OptimizerOptions = {
  algorithm: "muon",
  momentum: 0.95,
  nesterov: true,
  scale: "match-rms",
  ...hyper,
};

test("Muon has the hidden matrices, AdamW the rest; each kind at its factor, norms without decay; saved and restored", async () => {
  const params = newParams(named);
  const optimizer = createOptimizer(params, { ...muonOptions, learningRateFactors: { router: 0, embeddings: 0.5 } });
  const zeros = new Map([...params].map(([name, { shape }]) => [name, tf.zeros(shape)]));
  optimizer.update(zeros, { learningRate: 0.1, step: 0, gradNorm: 0 });
  // No gradient: weight decay alone moves them.
  expect(values(params).map(([first]) => first)).toEqual([0.4875, 0.475, 0.5, 0.475, 0.5].map(Math.fround));
  const directory = mkdtempSync(join(folder, "muon-"));
  await optimizer.save(directory);
  const { openSafetensors } = await import("../model/checkpoint/safetensors.js");
  const file = await openSafetensors(join(directory, "optimizer.safetensors"));
  const slots = [...file.tensors.keys()].map((name) => name.split("/")[1]).sort();
  await file.close();
  expect(slots).toEqual(["mean", "mean", "mean", "momentum", "momentum", "square", "square", "square"]);
  const adafactor = createOptimizer(params, { algorithm: "adafactor", minFactoredSize: 4 });
  await expect(adafactor.restore(directory)).rejects.toMatchObject({ code: "optimizer-state-mismatch" });
});

test("gradients whose norm is above clipNorm are scaled down to it", () => {
  const [clipped, scaled] = [newParams(named), newParams(named)];
  const gradients = new Map(
    [...clipped].map(([name, { shape }], i) => [name, tf.randomNormal(shape, 0, 1, "float32", i)]),
  );
  const gradNorm = gradientNorm(gradients).dataSync()[0];
  const update = (params: Map<string, tf.Variable>, clipNorm: number | undefined, factor: number): void =>
    createOptimizer(params, { ...muonOptions, clipNorm }).update(
      new Map([...gradients].map(([name, gradient]) => [name, tf.mul(gradient, factor)])),
      { learningRate: 0.1, step: 0, gradNorm },
    );
  update(clipped, gradNorm / 4, 1);
  update(scaled, undefined, 0.25);
  for (const [i, value] of values(clipped).entries()) expectClose(value, values(scaled)[i], 1e-5);
});

test("the gradient norm is that of all gradients together, and not finite where one is not", () => {
  const norm = (...tensors: tf.Tensor[]): number =>
    gradientNorm(new Map(tensors.map((tensor, i) => [String(i), tensor]))).dataSync()[0];
  expect(norm(tf.tensor1d([3, 0]), tf.scalar(4))).toBe(5);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(Number.isFinite(norm(tf.tensor1d([1, bad]), tf.scalar(4)))).toBe(false);
  }
});

describeTorch("the gradient norm's fast path", () => {
  test("is the norm of all gradients, whatever their sizes and widths, and not finite where one is not", () => {
    const tensors = [random([70_000], 1), precision(random([3, 5], 2), "bfloat16"), random([1], 3)];
    const norm = gradientNorm(new Map(tensors.map((tensor, i) => [String(i), tensor])));
    const squares = tensors.map((tensor) => tensor.dataSync<"float32">().reduce((sum, x) => sum + x * x, 0));
    const expected = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    expectClose(norm.dataSync(), [expected]);
    const bad = new Map([...tensors, tf.tensor1d([1, Number.NaN])].map((tensor, i) => [String(i), tensor]));
    expect(gradientNorm(bad).dataSync()[0]).toBeNaN();
  });
});
