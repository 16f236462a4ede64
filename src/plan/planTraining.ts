import { formatFlops, plural } from "../base/format.js";
import type { ModelConfig } from "../model/config.js";
import { countParameters, stepFlops } from "../model/count.js";
import type { ExampleStream } from "../stream/batch.js";

/** What a run will cost, known before it starts. */
export interface TrainingPlan {
  parameters: number;
  /** Forward and backward of one step. */
  flopsPerStep: number;
  /** Encoder and decoder positions of one step. */
  tokensPerStep: number;
  /** The same of the model without its experts. */
  dense: { parameters: number; activeParameters: number; flopsPerStep: number };
  /** Times each language is read through by the end. */
  epochs: Record<string, number>;
}

/** Counts of a model on a stream, beside its dense twin's. */
export function planTraining(
  model: ModelConfig,
  stream: ExampleStream,
  batchSize: number,
  steps: number,
): TrainingPlan {
  const { inputs, targets } = stream.lengths;
  const flops = (config: ModelConfig): number => stepFlops(config, batchSize, { inputs, targets }).total;
  const twin: ModelConfig = { ...model, switch: null };
  const { total, activePerToken } = countParameters(twin);
  const epochs = stream.epochs(steps);
  return {
    parameters: countParameters(model).total,
    flopsPerStep: flops(model),
    tokensPerStep: batchSize * (inputs + targets),
    dense: { parameters: total, activeParameters: activePerToken, flopsPerStep: flops(twin) },
    epochs: Object.fromEntries(stream.languages.map((code, i) => [code, epochs[i]])),
  };
}

/** `mT5` or `Switch-mT5, 8 experts`. */
export function modelTitle(model: ModelConfig): string {
  return model.switch ? `Switch-mT5, ${model.switch.experts} experts` : "mT5";
}

/** The plan as lines for a reader. */
export function describePlan(plan: TrainingPlan, model: ModelConfig, steps: number): string[] {
  const row = (name: string, parameters: number, flops: number): string =>
    `  ${name.padEnd(24)} ${parameters.toLocaleString("en-US").padStart(17)} parameters ${formatFlops(flops).padStart(12)} a step`;
  const twin = model.switch ? [row("its dense twin", plan.dense.parameters, plan.dense.flopsPerStep)] : [];
  const epochs = Object.entries(plan.epochs).sort(([, a], [, b]) => a - b);
  const [mostCode, most] = epochs[epochs.length - 1];
  const median = epochs[Math.floor((epochs.length - 1) / 2)][1];
  return [
    row(modelTitle(model), plan.parameters, plan.flopsPerStep),
    ...twin,
    `  ${steps.toLocaleString("en-US")} steps of ${plan.tokensPerStep.toLocaleString("en-US")} tokens, ${formatFlops(steps * plan.flopsPerStep)} in all`,
    `  epochs over ${plural(epochs.length, "language")}: least ${epochs[0][1].toPrecision(3)}, median ${median.toPrecision(3)}, most ${most.toPrecision(3)} (${mostCode})`,
  ];
}
