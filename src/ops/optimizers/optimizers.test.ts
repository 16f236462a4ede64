import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it, type TestContext } from "vitest";
import { describeFastPath } from "../../../test/helpers/fastPaths.js";
import { random, testBackends } from "../../../test/helpers/tensors.js";
import { loadBackend } from "../../backends/loadBackend.js";
import { precision } from "../precision.js";
import { adafactor } from "./adafactor.js";
import { adamw } from "./adamw.js";
import type { OptimizerAlgorithm } from "./algorithm.js";
import { muon } from "./muon.js";

const plain = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, scaleByParameterRms: false };
const algorithms: Record<string, OptimizerAlgorithm> = {
  adamw: adamw(plain),
  "adamw, scaled by RMS": adamw({ ...plain, weightDecay: 0, scaleByParameterRms: true }),
  muon: muon({ momentum: 0.95, nesterov: true, weightDecay: 0.1, scale: "original" }),
  "muon without Nesterov": muon({ momentum: 0.9, nesterov: false, weightDecay: 0, scale: "match-rms" }),
};
const steps = 50;
const learningRate = 0.01;
/** Of a matrix, a tall one, and a stack of experts. */
const shapes = [
  [24, 40],
  [40, 16],
  [3, 12, 20],
];

interface Side {
  param: tf.Variable;
  state: Map<string, tf.Variable>;
}

function sides(algorithm: OptimizerAlgorithm): Side[] {
  return shapes.map((shape, i) => ({
    param: tf.tidy(() => tf.variable(random(shape, i))),
    state: new Map(
      [...algorithm.stateShapes(shape)].map(([slot, size]) => [slot, tf.tidy(() => tf.variable(tf.zeros(size)))]),
    ),
  }));
}

/** Gradients with a part that stays, as in training. */
const gradientsAt = (step: number): tf.Tensor[] =>
  shapes.map((shape, i) =>
    tf.tidy(() => tf.mul(tf.add(random(shape, 50 + i), random(shape, 100 + 10 * step + i)), 0.1)),
  );

function run(algorithm: OptimizerAlgorithm, gradientScale?: number): Side[] {
  const parameters = sides(algorithm);
  const before = tf.memory().numTensors;
  for (let step = 0; step < steps; step++) {
    const gradients = gradientsAt(step);
    algorithm.update(
      parameters.map((own, i) => ({ ...own, gradient: gradients[i] })),
      { learningRate, step, gradientScale },
    );
    tf.dispose(gradients);
  }
  expect(tf.memory().numTensors).toBe(before);
  return parameters;
}

/** PyTorch's own optimizers over the same; its Muon iterates in bfloat16, which is float32 here. */
const oracle = `
import json, sys, torch
torch.Tensor.bfloat16 = lambda self: self.clone()
case = json.load(sys.stdin)
params = [torch.nn.Parameter(torch.tensor(p, dtype=torch.float64).float()) for p in case["params"]]
def optimizer(parts):
    o = case["options"]
    if case["kind"] == "muon":
        scale = {"original": "original", "match-rms": "match_rms_adamw"}[o["scale"]]
        return torch.optim.Muon(parts, lr=case["lr"], momentum=o["momentum"], nesterov=o["nesterov"], weight_decay=o["weightDecay"], adjust_lr_fn=scale)
    return torch.optim.AdamW(parts, lr=case["lr"], betas=(o["beta1"], o["beta2"]), eps=o["epsilon"], weight_decay=o["weightDecay"])
# Each expert is a parameter of its own.
parts = [torch.nn.Parameter(m.detach().clone()) for p in params for m in (p if p.dim() == 3 else [p])]
opt = optimizer(parts)
for step in case["gradients"]:
    flat = [m for g in step for m in (lambda t: t if t.dim() == 3 else [t])(torch.tensor(g, dtype=torch.float64).float())]
    for p, g in zip(parts, flat): p.grad = g.clone()
    opt.step()
print(json.dumps([p.detach().double().flatten().tolist() for p in parts]))
`;

async function runPyTorch(python: string, kind: string, options: object): Promise<number[][]> {
  const child = promisify(execFile)(python, ["-c", oracle], { maxBuffer: 1 << 28 });
  const gradients = Array.from({ length: steps }, (_, step) => gradientsAt(step).map((g) => g.arraySync()));
  const params = shapes.map((shape, i) => random(shape, i).arraySync());
  child.child.stdin?.end(JSON.stringify({ kind, options, params, gradients, lr: learningRate }));
  return JSON.parse((await child).stdout);
}

/** One Python for each optimizer, whatever backends are held to it. */
const known = new Map<string, Promise<number[][]>>();

function byPyTorch(ctx: TestContext, kind: string, options: object): Promise<number[][]> {
  const python = process.env.MSWITCH_PYTHON;
  if (!python) return ctx.skip("MSWITCH_PYTHON names no Python with torch");
  const key = JSON.stringify({ kind, options });
  const result = known.get(key) ?? runPyTorch(python, kind, options);
  known.set(key, result);
  return result;
}

/** By matrix, each expert one. */
const matricesOf = (parameters: Side[]): number[][] =>
  parameters.flatMap(({ param }) =>
    (param.rank === 3 ? tf.unstack(param) : [param]).map((matrix) => [...matrix.dataSync()]),
  );

/** The largest difference in parts of the largest entry. */
function furthest(actual: number[][], expected: number[][]): number {
  expect(actual.length).toBe(expected.length);
  return Math.max(
    ...actual.map((values, i) => {
      const scale = Math.max(...expected[i].map(Math.abs));
      return Math.max(...values.map((value, j) => Math.abs(value - expected[i][j]))) / scale;
    }),
  );
}

function againstPyTorch(): void {
  it("AdamW is PyTorch's within 1e-6 over 50 steps", async (ctx) => {
    const expected = await byPyTorch(ctx, "adamw", plain);
    expect(furthest(matricesOf(run(adamw(plain))), expected)).toBeLessThan(1e-6);
  });

  it.for(["original", "match-rms"] as const)("Muon is PyTorch's within 1e-6 over 50 steps, %s", async (scale, ctx) => {
    const options = { momentum: 0.95, nesterov: true, weightDecay: 0.1, scale };
    const expected = await byPyTorch(ctx, "muon", options);
    expect(furthest(matricesOf(run(muon(options))), expected)).toBeLessThan(1e-6);
  });
}

describe.each(testBackends)("optimizers on %s", (backend) => {
  beforeAll(() => loadBackend(backend));

  if (backend === "wasm") againstPyTorch();

  it.each(Object.keys(algorithms))("%s takes gradients times a scale as it takes scaled gradients", (name) => {
    const algorithm = algorithms[name];
    const [param, other] = [1, 1].map(() => tf.variable(random([6, 5], 1)));
    const stateOf = () =>
      new Map([...algorithm.stateShapes([6, 5])].map(([slot, size]) => [slot, tf.variable(tf.zeros(size))]));
    const [state, otherState] = [stateOf(), stateOf()];
    const gradient = random([6, 5], 2);
    algorithm.update([{ param, gradient, state }], { learningRate, step: 3, gradientScale: 0.25 });
    const scaled = tf.mul(gradient, 0.25);
    algorithm.update([{ param: other, gradient: scaled, state: otherState }], { learningRate, step: 3 });
    expect([...param.dataSync()]).toEqual([...other.dataSync()]);
  });
});

describe("adamw, scaled by RMS", () => {
  beforeAll(() => loadBackend("cpu"));

  it("steps in proportion to each expert's RMS, at least 1e-3", () => {
    const algorithm = algorithms["adamw, scaled by RMS"];
    const param = tf.variable(tf.tensor3d([3, 3, 0.1, 0.1, 0, 0], [3, 1, 2]));
    const state = new Map(
      [...algorithm.stateShapes([3, 1, 2])].map(([slot, size]) => [slot, tf.variable(tf.zeros(size))]),
    );
    algorithm.update([{ param, gradient: tf.ones([3, 1, 2]), state }], { learningRate: 0.1, step: 0 });
    // The first step of Adam is the learning rate whatever the gradient.
    for (const [i, value] of [2.7, 2.7, 0.09, 0.09, -1e-4, -1e-4].entries()) {
      expect(param.dataSync()[i]).toBeCloseTo(value, 6);
    }
  });
});

describeFastPath("the optimizers' kernels", () => {
  againstPyTorch();

  it.each(Object.keys(algorithms))("%s is its reference within 1e-6 over 50 steps", async (name) => {
    const fast = matricesOf(run(algorithms[name], 0.5));
    await loadBackend("wasm");
    const reference = matricesOf(run(algorithms[name], 0.5));
    await loadBackend("torch");
    expect(furthest(fast, reference)).toBeLessThan(1e-6);
  });

  it("Adafactor takes gradients times a scale, factored or not", async () => {
    for (const minFactoredSize of [8, 128]) {
      const algorithm = adafactor({ minFactoredSize });
      const fast = matricesOf(run(algorithm, 0.5));
      await loadBackend("wasm");
      const reference = matricesOf(run(algorithm, 0.5));
      await loadBackend("torch");
      expect(furthest(fast, reference)).toBeLessThan(3e-6);
    }
  });

  it.each(Object.keys(algorithms))(
    "%s takes bfloat16 gradients, and changes nothing where the guard is not finite",
    (name) => {
      const algorithm = algorithms[name];
      const gradients = gradientsAt(0).map((gradient) => precision(gradient, "bfloat16"));
      const [bfloat16, float32] = [sides(algorithm), sides(algorithm)];
      const rates = tf.tensor1d(algorithm.rates({ learningRate, step: 0 }));
      const with_ = (list: Side[], given: tf.Tensor[]) => list.map((own, i) => ({ ...own, gradient: given[i] }));
      algorithm.updateGuarded(with_(bfloat16, gradients), rates, tf.tensor1d([1, Number.NaN]));
      expect(matricesOf(bfloat16)).toEqual(matricesOf(float32));
      for (const { state } of bfloat16) {
        for (const moment of state.values()) expect(tf.max(tf.abs(moment)).dataSync()[0]).toBe(0);
      }
      algorithm.updateGuarded(with_(bfloat16, gradients), rates, tf.tensor1d([1, 1]));
      const inFloat32 = gradients.map((gradient) => precision(gradient, "float32"));
      algorithm.updateGuarded(with_(float32, inFloat32), rates, tf.tensor1d([1, 1]));
      expect(furthest(matricesOf(bfloat16), matricesOf(float32))).toBeLessThan(1e-7);
    },
  );

  it("refuses moments of another shape", () => {
    const param = tf.variable(tf.ones([2, 3]));
    const state = new Map(["mean", "square"].map((slot) => [slot, tf.variable(tf.zeros([2, 2]))]));
    const parameters = [{ param, gradient: tf.ones([2, 3]), state }];
    expect(() => algorithms.adamw.update(parameters, { learningRate, step: 0 })).toThrow(/another shape/);
  });
});
