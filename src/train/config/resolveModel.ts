import { usageError } from "../../base/errors.js";
import type { ModelConfig } from "../../model/config.js";
import { preset, switchTwin } from "../../model/presets.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { RunConfig } from "./runConfig.js";

/**
 * The model that a pipeline means: its preset, made sparse where it asks for experts that the preset has not (`switchTwin`), with
 * its own values put in, and with the rows that the dataset's vocabulary needs.
 *
 * @throws usageError where the values do not fit together or the vocabulary does not fit in
 */
export function resolveModel(config: RunConfig, vocabulary: Pick<Vocabulary, "embeddingRows" | "path">): ModelConfig {
  const { preset: name, switch: sparse, ...values } = config.model;
  const base = sparseBase(preset(name), sparse);
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  const vocabSize = values.vocabSize ?? vocabulary.embeddingRows;
  const model: ModelConfig = { ...base, ...given, vocabSize, precision: config.precision };
  if (vocabSize < vocabulary.embeddingRows) {
    throw usageError("the dataset's vocabulary does not fit the model", {
      code: "vocabulary-model-mismatch",
      where: vocabulary.path,
      why: `it needs ${vocabulary.embeddingRows} rows, model.vocabSize is ${vocabSize}`,
      hint: "Leave model.vocabSize out, or preprocess the dataset with the vocabulary that the model was meant for.",
    });
  }
  const layers = Math.min(model.encoderLayers, model.decoderLayers);
  if (model.switch && model.switch.every > layers) {
    throw usageError(
      `with model.switch.every ${model.switch.every} no layer of ${layers} is sparse in one of the stacks`,
      {
        code: "vocabulary-model-mismatch",
        hint: "Lower model.switch.every, or take model.switch: null for a dense model.",
      },
    );
  }
  const { topK = 1, experts = 1 } = model.switch ?? {};
  if (topK > experts) {
    throw usageError(`model.switch.topK is ${topK}, and there are ${experts} experts`, {
      code: "model-config-invalid",
      hint: "Lower model.switch.topK.",
    });
  }
  return model;
}

function sparseBase(base: ModelConfig, sparse: RunConfig["model"]["switch"]): ModelConfig {
  if (sparse === null) return { ...base, switch: null };
  if (sparse === undefined) return base;
  if (base.switch) return { ...base, switch: { ...base.switch, ...sparse } };
  const { experts, ...rest } = sparse;
  if (experts === undefined) {
    throw usageError("model.switch.experts is missing", {
      code: "config-invalid",
      why: "the preset is dense and says no number of experts",
    });
  }
  return switchTwin(base, { experts, ...rest });
}
