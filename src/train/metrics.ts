import type * as tf from "@tensorflow/tfjs-core";
import { deviceMemory } from "../backends/deviceMemory.js";
import { formatBytes, formatDuration, formatFlops } from "../base/format.js";
import type { StepResult } from "../model/lossAndGradients.js";
import { loadBalance } from "../run/loadBalance.js";
import type { MetricsLine } from "../run/runFiles.js";
import type { Stretch } from "./stepClock.js";

/** What a step computed, read back from the backend. */
export interface StepMetrics
  extends Pick<
    MetricsLine,
    | "loss"
    | "negLogPerplexity"
    | "distillationLoss"
    | "auxLoss"
    | "zLoss"
    | "fractionDropped"
    | "expertLoadMin"
    | "expertLoadMax"
    | "expertLoadEntropy"
    | "meanGateProbability"
  > {}

/** What the loop knows of a logged step; rates follow from the stretch since the line before. */
export interface LogLine extends StepMetrics, Stretch {
  step: number;
  /** undefined where the time of the processes before is lost. */
  trainSeconds: number | undefined;
  gradNorm: number;
  learningRate: number;
}

/** The line of `metrics.jsonl`. */
export function toMetricsLine(line: LogLine, plan: { tokensPerStep: number; flopsPerStep: number }): MetricsLine {
  const { steps, seconds, ...values } = line;
  const device = deviceMemory();
  return {
    ...values,
    tokensPerSecond: (steps * plan.tokensPerStep) / seconds,
    flopsPerSecond: (steps * plan.flopsPerStep) / seconds,
    memoryBytes: process.memoryUsage.rss(),
    ...(device ? { deviceMemoryBytes: device.allocated, devicePeakMemoryBytes: device.peak } : {}),
  };
}

/** Reads a step's scalars and expert loads. Means over Switch layers; least and greatest load over all of them. */
export async function readStepMetrics(result: StepResult): Promise<StepMetrics> {
  const [loss, crossEntropy] = await Promise.all([scalar(result.loss), scalar(result.crossEntropy)]);
  const distillationLoss = result.distillation && (await scalar(result.distillation));
  const metrics: StepMetrics = {
    ...{ loss, negLogPerplexity: -crossEntropy },
    ...(distillationLoss === undefined ? {} : { distillationLoss }),
  };
  if (result.routing.length === 0) return metrics;
  const [auxLoss, zLoss] = await Promise.all([scalar(result.auxLoss), scalar(result.zLoss)]);
  const dropped = await Promise.all(result.routing.map((report) => scalar(report.fractionDropped)));
  const meanGateProbability = await Promise.all(result.routing.map((report) => scalar(report.meanGateProbability)));
  const balances = await Promise.all(result.routing.map(async ({ load }) => loadBalance(await load.data<"float32">())));
  return {
    ...metrics,
    auxLoss,
    zLoss,
    fractionDropped: mean(dropped),
    expertLoadMin: Math.min(...balances.map(({ least }) => least)),
    expertLoadMax: Math.max(...balances.map(({ most }) => most)),
    expertLoadEntropy: mean(balances.map(({ entropy }) => entropy)),
    meanGateProbability: mean(meanGateProbability),
  };
}

async function scalar(value: tf.Scalar): Promise<number> {
  return (await value.data())[0];
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** What of a line says that training has gone wrong though no number is infinite; each is to be told once. */
export function trainingFaults(line: MetricsLine, experts: number): string[] {
  const { expertLoadMax = 0, fractionDropped = 0, gradNorm } = line;
  const share = (value: number): string => `${Math.round(value * 100)} %`;
  const faults: [boolean, string][] = [
    [
      experts > 1 && expertLoadMax > 0.9,
      `router collapse: one expert takes ${share(expertLoadMax)} of a layer's tokens; raise model.switch.auxLossWeight or lower the learning rate`,
    ],
    [
      fractionDropped > 0.5,
      `${share(fractionDropped)} of the tokens are dropped for want of capacity; raise model.switch.capacity.train or auxLossWeight`,
    ],
    [gradNorm === 0, "the gradient is 0: nothing is learnt"],
  ];
  return faults.flatMap(([isSo, what]) => (isSo ? [what] : []));
}

/**
 * The line of the log for a step, as in `step 120/1000 loss 5.1234 nlp -5.1021 … eta 3m12s`, and what of it 80 columns of a terminal
 * have room for.
 */
export function formatMetrics(
  line: MetricsLine,
  totalSteps: number,
  secondsLeft: number,
): { full: string; brief: string } {
  const { fractionDropped, expertLoadMin, expertLoadMax, auxLoss, zLoss } = line;
  const progress = [`step ${line.step}/${totalSteps}`, `loss ${line.loss.toFixed(4)}`];
  const losses = [`aux ${(auxLoss ?? 0).toFixed(4)}`, ...(zLoss ? [`z ${zLoss.toFixed(4)}`] : [])];
  const routing =
    fractionDropped === undefined || expertLoadMin === undefined || expertLoadMax === undefined
      ? []
      : [`drop ${(fractionDropped * 100).toFixed(1)}%`, `load ${expertLoadMin.toFixed(2)}-${expertLoadMax.toFixed(2)}`];
  const rate = `${Math.round(line.tokensPerSecond).toLocaleString("en-US")} tok/s`;
  const eta = `eta ${formatDuration(secondsLeft)}`;
  const full = [
    ...progress,
    `nlp ${line.negLogPerplexity.toFixed(4)}`,
    ...(line.distillationLoss === undefined ? [] : [`soft ${line.distillationLoss.toFixed(4)}`]),
    ...(routing.length > 0 ? [...losses, ...routing] : []),
    `lr ${line.learningRate.toPrecision(3)}`,
    `grad ${line.gradNorm.toPrecision(3)}`,
    rate,
    `${formatFlops(line.flopsPerSecond)}/s`,
    `mem ${formatBytes(line.memoryBytes)}`,
    ...(line.devicePeakMemoryBytes === undefined ? [] : [`device peak ${formatBytes(line.devicePeakMemoryBytes)}`]),
    `wait ${(line.dataWait * 100).toFixed(1)}%`,
    eta,
  ];
  return { full: full.join(" "), brief: [...progress, ...routing, rate, eta].join(" ") };
}
