import type { ModelConfig } from "../config.js";
import { parameterShapes } from "../parameters.js";
import { modelTypeOf } from "./huggingFaceConfig.js";

/** Where a tensor of a checkpoint comes from. */
export interface CheckpointTensor {
  /** Name of our parameter. */
  parameter: string;
  /** Which expert of a stacked parameter. */
  expert?: number;
  shape: number[];
  /** Written because Transformers wants it; another tensor already holds these values. */
  copy?: true;
}

/**
 * Every tensor of a configuration's checkpoint by the name Transformers gives it. The stacked experts are split into
 * `….experts.expert_0.wi.weight` and so on; an untied Switch repeats the shared embedding for encoder and decoder, without which
 * Transformers (4.57 and 5) draws them at random.
 */
export function checkpointTensors(config: ModelConfig): Map<string, CheckpointTensor> {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [parameter, shape] of parameterShapes(config)) {
    if (!parameter.includes(".experts.")) {
      tensors.set(parameter, { parameter, shape });
      continue;
    }
    const [experts, ...own] = shape;
    for (let expert = 0; expert < experts; expert++) {
      tensors.set(parameter.replace(".experts.", `.experts.expert_${expert}.`), { parameter, expert, shape: own });
    }
  }
  const table = [config.vocabSize, config.dModel];
  const copies = config.separateInputEmbeddings ? ["shared"] : ["encoder.embed_tokens", "decoder.embed_tokens"];
  const source = config.separateInputEmbeddings ? "encoder.embed_tokens.weight" : "shared.weight";
  if (modelTypeOf(config) === "switch_transformers" && !config.tieEmbeddings) {
    for (const copy of copies) tensors.set(`${copy}.weight`, { parameter: source, shape: table, copy: true });
  }
  return tensors;
}
