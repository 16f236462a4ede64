import { setImmediate as turnEventLoop } from "node:timers/promises";
import { EvaluationGivenUp } from "../eval/evaluateModel.js";
import type { EvalPoint } from "../run/runFiles.js";
import type { Prefetcher } from "../stream/prefetch/prefetch.js";
import type { RunConfig } from "./config/runConfig.js";
import { readStepMetrics } from "./metrics.js";
import type { MetricsWriter } from "./metricsWriter.js";
import { learningRateAt } from "./schedule.js";
import type { TrainStep } from "./step.js";
import { createStepClock } from "./stepClock.js";

/** All that a run is made of once it has been set up; `session.ts` sets it up. */
export interface Training {
  config: RunConfig;
  /** Loss, gradients and update of a batch: `step.ts`. */
  trainStep: TrainStep;
  /** Batches from `startStep` on. */
  batches: Prefetcher;
  /** Updates done before this process, and the seconds they took; undefined where that is not known. */
  startStep: number;
  startSeconds: number | undefined;
  /** Rejects with the signal's reason where that is aborted on the way. */
  evaluate(step: number): Promise<EvalPoint>;
  /** Whether the evaluation of a step is in the run directory, or another process makes it, or processes that share the run stop. */
  isEvaluated(step: number): boolean | Promise<boolean>;
  /** Whether the evaluations so far say that more training is of no use. */
  hasEnded?(): boolean;
  metricsWriter: MetricsWriter;
  /** Called after each update. */
  onStep(): void;
  writeCheckpoint(step: number, trainSeconds: number | undefined): Promise<void>;
  /** Whether several processes train: then a step says for all of them whether to stop. */
  isShared: boolean;
  /** Aborted by a signal: the step in hand is finished, or an evaluation given up, and a checkpoint written. */
  signal: AbortSignal;
}

/**
 * The training loop. Step n (from 0) takes batch n and noise n, so that where it starts decides all that follows.
 *
 * @returns the number of updates done: `config.steps`, or fewer where the signal was aborted or the run has ended early
 * @throws MswitchError where loss or gradients are not finite, before the weights are touched
 */
export async function train(training: Training): Promise<number> {
  const { config, trainStep, batches, signal } = training;
  const { steps, optimizer: options } = config;
  const clock = createStepClock(training.startSeconds);
  let step = training.startStep;

  await evaluateIfDue(training, step);
  let stopping = !training.isShared && signal.aborted;
  while (step < steps && !stopping && !training.hasEnded?.()) {
    clock.begin();
    const batch = await clock.waiting(batches.next());
    const learningRate = learningRateAt(options.learningRate, step, steps);
    const { result, gradNorm, stop, dispose } = await trainStep(batch, { step, learningRate });
    step++;
    // Signals and the data worker's messages are only heard when the event loop turns; the step that ends a run has its line.
    await turnEventLoop();
    stopping = training.isShared ? stop : signal.aborted;
    const metrics = isLogged(config, step) || stopping ? await readStepMetrics(result) : undefined;
    dispose();
    clock.end();
    training.onStep();

    if (metrics) {
      const { trainSeconds } = clock;
      await training.metricsWriter.line({ step, ...metrics, gradNorm, learningRate, trainSeconds, ...clock.stretch() });
    }
    if (!stopping) await evaluateIfDue(training, step);
    stopping ||= !training.isShared && signal.aborted;
    if (isCheckpointed(config, step) || stopping) await training.writeCheckpoint(step, clock.trainSeconds);
  }
  return step;
}

/** An evaluation that a kill or a signal left out is made up for where the run goes on. */
async function evaluateIfDue(training: Training, step: number): Promise<void> {
  const { config, signal } = training;
  if (!isEvaluationDue(config, step) || (!training.isShared && signal.aborted)) return;
  if (await training.isEvaluated(step)) return;
  try {
    await training.metricsWriter.evaluation(await training.evaluate(step));
  } catch (error) {
    const isGivenUp = error instanceof EvaluationGivenUp || (signal.aborted && error === signal.reason);
    if (!isGivenUp) throw error;
  }
}

/** Evaluated are the fresh model, the one at the end, and those between as the configuration says. */
export function isEvaluationDue({ evaluation: { every }, steps }: RunConfig, step: number): boolean {
  if (step === 0 || step === steps) return true;
  return typeof every === "number" ? step % every === 0 : every.includes(step);
}

function isCheckpointed(config: RunConfig, step: number): boolean {
  const { checkpoints, evaluation, steps } = config;
  // Any evaluation may be the best.
  return (
    step % checkpoints.every === 0 || step === steps || (evaluation.best !== undefined && isEvaluationDue(config, step))
  );
}

/** Evaluations and checkpoints have a line of their own step: their time is read from it. */
function isLogged(config: RunConfig, step: number): boolean {
  return step === 1 || step % config.logEvery === 0 || isEvaluationDue(config, step) || isCheckpointed(config, step);
}
