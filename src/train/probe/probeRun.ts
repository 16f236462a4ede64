import * as tf from "@tensorflow/tfjs-core";
import { deviceMemory } from "../../backends/deviceMemory.js";
import { findGraphCapture } from "../../backends/graphCapture.js";
import { evaluateModel } from "../../eval/evaluateModel.js";
import { disposeParameters, initParameters } from "../../model/parameters.js";
import { createExampleStream } from "../../stream/createExampleStream.js";
import { createOptimizer, optimizerOptions } from "../optimizer.js";
import { learningRateAt } from "../schedule.js";
import type { PreparedRun } from "../setup/prepareRun.js";
import { createTrainStep } from "../step.js";

/** A few steps of a run, taken to learn what it costs. */
export interface StepProbe {
  /** Rows that were computed at a time. */
  rows: number;
  /** Median seconds of a training step of so many rows. */
  seconds: number;
  /** The most memory that was held until then: of the device, or of this process. */
  peakBytes: number;
}

/** A run's fresh model and optimizer on the active backend, for trials. Nothing of it is kept. */
export interface RunProbe {
  /** Weights and moments. */
  stateBytes: number;
  /** Takes steps of `rows` rows: two that are not timed, and up to three that are. Begin with few rows: the peak does not go down again. */
  steps(rows: number): Promise<StepProbe>;
  /** Evaluates one language; undefined where none can be evaluated. */
  evaluation(): Promise<{ seconds: number; bytes: number } | undefined>;
  close(): void;
}

/** Later steps are left out where those before took so many seconds. */
const patience = 20;

/** The backend must be loaded. */
export async function probeRun({ config, model, dataset, streamConfig, examples }: PreparedRun): Promise<RunProbe> {
  const before = tf.memory().numBytes;
  const params = initParameters(model, config.seed);
  const optimizer = createOptimizer(params, optimizerOptions(config.optimizer, model));
  const stateBytes = tf.memory().numBytes - before;
  const capture = config.recordSteps ? await findGraphCapture() : undefined;
  return {
    stateBytes,
    async steps(rows) {
      const { batch } = createExampleStream(dataset, { ...streamConfig, batchSize: rows });
      const trainStep = createTrainStep({ model, params, optimizer, seed: config.seed, run: config.run, capture });
      const times: number[] = [];
      let total = 0;
      for (let step = 0; step < 5 && (times.length === 0 || total < patience); step++) {
        const data = batch(step);
        const start = performance.now();
        const learningRate = learningRateAt(config.optimizer.learningRate, step, config.steps);
        const { dispose } = await trainStep(data, { step, learningRate });
        dispose();
        const seconds = (performance.now() - start) / 1000;
        total += seconds;
        // The first steps choose kernels and take memory.
        if (step >= 2 || total >= patience) times.push(seconds);
      }
      return { rows, seconds: median(times), peakBytes: peakBytes() };
    },
    async evaluation() {
      if (examples.length === 0) return undefined;
      const start = performance.now();
      const point = await evaluateModel(model, params, examples.slice(0, 1), 0);
      return { seconds: (performance.now() - start) / 1000, bytes: JSON.stringify(point).length };
    },
    close() {
      optimizer.dispose();
      disposeParameters(params);
    },
  };
}

function peakBytes(): number {
  // Kibibytes, on all systems that Node.js runs on.
  return deviceMemory()?.peak ?? process.resourceUsage().maxRSS * 1024;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
