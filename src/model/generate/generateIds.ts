import * as tf from "@tensorflow/tfjs-core";
import { outputHead } from "../../ops/decode/nextToken.js";
import type { ModelConfig } from "../config.js";
import type { Parameters } from "../parameters.js";
import { beamSearch } from "./beamSearch.js";
import { createDecoder, generationConfig, headOf } from "./decoder.js";
import type { Generated, GenerateLimits } from "./generated.js";
import { greedy } from "./greedy.js";

export interface GenerateOptions extends Omit<GenerateLimits, "eosId"> {
  /** Ends a text: of the vocabulary, T5's 1 where left out. */
  eosId?: number;
  /** Sources that are read together; the results do not depend on it but for rounding. 8 where left out. */
  batchSize?: number;
  /** 1, greedy, where left out. */
  beams?: number;
  /** With beams; 1 where left out. */
  lengthPenalty?: number;
  /** With beams; false where left out. */
  earlyStopping?: boolean;
  /** Called after every batch. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Writes a text for each source, greedily or with beams, as Transformers' `generate` does: ids in, ids out, in the order given. Computed in
 * float32; a Switch layer drops nothing but what an absolute capacity drops within one source.
 *
 * @param sources token ids of each source, its end of sequence (1) included; at least one each
 */
export async function generateIds(
  config: ModelConfig,
  params: Parameters,
  sources: readonly ArrayLike<number>[],
  { batchSize = 8, beams = 1, lengthPenalty = 1, earlyStopping = false, onProgress, ...given }: GenerateOptions,
): Promise<Generated[]> {
  const limits: GenerateLimits = { eosId: 1, ...given };
  const model = generationConfig(config);
  const results: Generated[] = new Array(sources.length);
  // By length, the longest first: least padding, and what does not fit into memory shows at once.
  const order = sources.map((_, i) => i).sort((a, b) => sources[b].length - sources[a].length || a - b);
  const head = outputHead(headOf(model, params));
  try {
    for (let begin = 0; begin < order.length; begin += batchSize) {
      const chosen = order.slice(begin, begin + batchSize);
      const inputs = paddedRows(chosen.map((i) => sources[i]));
      const decoder = createDecoder(model, params, inputs);
      inputs.dispose();
      try {
        const written =
          beams === 1
            ? await greedy(decoder, head, chosen.length, limits)
            : await beamSearch(decoder, chosen.length, { ...limits, beams, lengthPenalty, earlyStopping });
        for (const [row, i] of chosen.entries()) results[i] = written[row];
      } finally {
        decoder.dispose();
      }
      onProgress?.(Math.min(begin + batchSize, order.length), order.length);
    }
  } finally {
    head.dispose();
  }
  return results;
}

/** [rows, the longest's length], 0 on the right of the others. */
function paddedRows(rows: readonly ArrayLike<number>[]): tf.Tensor2D {
  const length = Math.max(...rows.map((row) => row.length));
  const ids = new Int32Array(rows.length * length);
  for (const [i, row] of rows.entries()) ids.set(row, i * length);
  return tf.tensor2d(ids, [rows.length, length], "int32");
}
