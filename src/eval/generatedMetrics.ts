import type { ModelConfig } from "../model/config.js";
import { generateIds } from "../model/generate/generateIds.js";
import type { Parameters } from "../model/parameters.js";
import type { ValidationExamples } from "../stream/batch.js";
import type { Decoder } from "../vocab/encode/encoder.js";
import { taskMetric } from "./taskMetrics.js";
import type { TaskOutput } from "./taskOutput.js";

/**
 * Writes a text greedily for each example's inputs and measures it against the targets: F1 of tokens, 0 to 1, and chrF, 0 to 100. As many
 * tokens are written at most as a row of targets has.
 *
 * @param code of the language that the targets are in
 */
export async function generatedMetrics(
  config: ModelConfig,
  params: Parameters,
  set: ValidationExamples,
  { decoder, eosId, code }: { decoder: Decoder; eosId: number; code: string },
): Promise<{ f1: number; chrF: number }> {
  const rowsOf = (key: "inputs" | "targets"): Int32Array[] =>
    Array.from({ length: set.batchSize }, (_, row) => {
      const ids = set[key].subarray(row * set.lengths[key], (row + 1) * set.lengths[key]);
      return ids.subarray(0, ids.indexOf(eosId) + 1);
    });
  const written = await generateIds(config, params, rowsOf("inputs"), { maxNewTokens: set.lengths.targets, eosId });
  const textOf = (ids: Int32Array): string => decoder.decode(ids.filter((id) => id !== eosId && id !== 0));
  const outputs = rowsOf("targets").map((reference, i): TaskOutput => {
    return { prediction: textOf(written[i].ids), references: [textOf(reference)] };
  });
  const round = (value: number): number => Math.round(value * 1e6) / 1e6;
  return { f1: round(taskMetric("f1", outputs, code)), chrF: round(taskMetric("chrF", outputs, code)) };
}
