import { overwrite } from "@mswitch/tfjs-backend-torch/graph";
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { describeTorch } from "../../test/helpers/fastPaths.js";
import { expectClose } from "../../test/helpers/tensors.js";
import { memoryDataset } from "../../test/memoryDataset.js";
import { findGraphCapture, type GraphCapture } from "../backends/graphCapture.js";
import type { ModelConfig } from "../model/config.js";
import { disposeParameters, initParameters, type Parameters } from "../model/parameters.js";
import { preset, switchTwin } from "../model/presets.js";
import { createExampleStream } from "../stream/createExampleStream.js";
import { createOptimizer, type Optimizer, type OptimizerOptions } from "./optimizer.js";
import { createTrainStep, type TrainStep } from "./step.js";

const dataset = memoryDataset({ aa: { train: 5000 } });
const mixing = { strategy: "uniform" } as const;
const stream = createExampleStream(dataset, { seed: 0, batchSize: 2, inputLength: 16, mixing });
const small = { dModel: 8, dKv: 4, dFf: 16, heads: 2, encoderLayers: 2, decoderLayers: 2 };
const dense: ModelConfig = { ...preset("tiny"), ...small, vocabSize: dataset.vocabulary.embeddingRows };
const model = switchTwin(dense, { experts: 2, jitter: 0 });

/** Runs what was recorded kernel by kernel: what a device does with it, but for the speed. */
function standIn(): GraphCapture & { replays: number } {
  const recorder = {
    replays: 0,
    runsWhileRecording: true,
    overwrite,
    record(work: () => void) {
      work();
      return {
        replay() {
          recorder.replays++;
          work();
        },
        dispose: () => undefined,
      };
    },
  };
  return recorder;
}

interface Run {
  params: Parameters;
  optimizer: Optimizer;
  step: TrainStep;
}

function start(
  config: ModelConfig,
  rest: { capture?: GraphCapture; onEager?: (why: string) => void } = {},
  options: OptimizerOptions = { algorithm: "adafactor", minFactoredSize: 4 },
): Run {
  const params = initParameters(config, 0);
  const optimizer = createOptimizer(params, options);
  return { params, optimizer, step: createTrainStep({ model: config, params, optimizer, seed: 0, run: "r", ...rest }) };
}

async function runSteps({ params, optimizer, step }: Run, count: number): Promise<number[][]> {
  const norms: number[] = [];
  for (let i = 0; i < count; i++) {
    const { gradNorm, dispose } = await step(stream.batch(i), { step: i, learningRate: 0.02 / (i + 1) });
    norms.push(gradNorm);
    dispose();
  }
  const values = [...params.values()].map((value) => [...value.dataSync()]);
  optimizer.dispose();
  disposeParameters(params);
  return [norms, ...values];
}

describeTorch("a recorded training step", () => {
  it("reads batch, learning rate and step anew with each replay: the same bits as kernel by kernel", async () => {
    const recorder = standIn();
    const recorded = await runSteps(start(model, { capture: recorder }), 6);
    expect(recorder.replays).toBe(3);
    expect(recorded).toEqual(await runSteps(start(model), 6));
  });

  it("draws jitter and dropout anew with each replay: the same bits as kernel by kernel", async () => {
    const noisy = { ...model, dropout: 0.1, switch: { ...model.switch!, jitter: 0.1, expertDropout: 0.4 } };
    const recorded = await runSteps(start(noisy, { capture: standIn() }), 6);
    expect(recorded).toEqual(await runSteps(start(noisy), 6));
    expect(recorded).not.toEqual(await runSteps(start(model), 6));
  });

  const adamw = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01, scaleByParameterRms: false };
  const optimizers: Record<string, OptimizerOptions> = {
    adafactor: { algorithm: "adafactor", minFactoredSize: 4 },
    adamw: { algorithm: "adamw", ...adamw },
    muon: { algorithm: "muon", momentum: 0.95, nesterov: true, scale: "original", ...adamw },
  };
  it.each(Object.keys(optimizers))(
    "is recorded by a backend that can, and gives what kernel by kernel gives: %s",
    async (algorithm) => {
      const recorder = await findGraphCapture();
      // An addon for CUDA that was not built by its compiler cannot.
      if (!recorder) return expect(tf.getBackend()).toMatch(/cuda/);
      const noisy = { ...model, dropout: 0.1, switch: { ...model.switch!, jitter: 0.1, expertDropout: 0.4 } };
      const whys: string[] = [];
      const rest = { capture: recorder, onEager: (why: string) => void whys.push(why) };
      const recorded = await runSteps(start(noisy, rest, optimizers[algorithm]), 8);
      // A step that could not be recorded runs all the same, so that the values alone would not tell.
      expect(whys).toEqual([]);
      const eager = await runSteps(start(noisy, {}, optimizers[algorithm]), 8);
      if (tf.getBackend() === "torch:cuda") expectClose(recorded[0], eager[0], 1e-3);
      else expect(recorded).toEqual(eager);
    },
  );

  /** Fails when the weights are being changed. @param runs as the CPU does while it records; a CUDA device does not */
  function failingLate(runs: boolean, whys: string[] = []): Run {
    const capture: GraphCapture = {
      runsWhileRecording: runs,
      overwrite,
      record(work) {
        work();
        throw new Error("not reached");
      },
    };
    const run = start(model, { capture, onEager: (why) => void whys.push(why) });
    run.optimizer.updateGuarded = () => {
      throw new Error("too late");
    };
    return run;
  }

  it("is not done again where recording fails once the weights are being changed", async () => {
    const { params, optimizer, step } = failingLate(true);
    for (let i = 0; i < 2; i++) (await step(stream.batch(i), { step: i, learningRate: 0.01 })).dispose();
    await expect(step(stream.batch(2), { step: 2, learningRate: 0.01 })).rejects.toThrow("too late");
    optimizer.dispose();
    disposeParameters(params);
  });

  it("is done kernel by kernel where that fails on a device that has run nothing", async () => {
    const whys: string[] = [];
    expect(await runSteps(failingLate(false, whys), 4)).toEqual(await runSteps(start(model), 4));
    expect(whys).toEqual(["too late"]);
  });

  it("leaves weights and moments alone where a gradient is not finite", async () => {
    const run = start(model, { capture: standIn() });
    for (let i = 0; i < 3; i++) await run.step(stream.batch(i), { step: i, learningRate: 0.01 });
    run.params.get("lm_head.weight")!.assign(tf.fill(run.params.get("lm_head.weight")!.shape, Number.NaN));
    const before = [...run.params.values()].map((value) => [...value.dataSync()]);
    await expect(run.step(stream.batch(3), { step: 3, learningRate: 0.01 })).rejects.toMatchObject({
      code: "loss-not-finite",
    });
    expect([...run.params.values()].map((value) => [...value.dataSync()])).toEqual(before);
  });

  it("goes on kernel by kernel, and says why, where recording fails", async () => {
    const whys: string[] = [];
    const failing: GraphCapture = {
      runsWhileRecording: true,
      overwrite,
      record() {
        throw new Error("not here");
      },
    };
    const options = { capture: failing, onEager: (why: string) => void whys.push(why) };
    expect(await runSteps(start(model, options), 4)).toEqual(await runSteps(start(model), 4));
    expect(whys).toEqual(["not here"]);
  });
});
