import { usageError } from "../../base/errors.js";
import { type ModelConfig, modelConfigSchema } from "../../model/config.js";
import { preset, switchTwin } from "../../model/presets.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { RunConfig } from "./runConfig.js";

/**
 * The model that a pipeline means: its preset or the model that it starts from, made sparse where it asks for experts that this has
 * not (`switchTwin`), with its own values put in, and with the rows that the dataset's vocabulary needs. Fine-tuning has dropout where
 * nothing else is said: 0.1, and 0.4 within experts (Switch paper §2.4).
 *
 * @param start the model of `init.from`
 * @throws usageError where the values do not fit together or the vocabulary does not fit in
 */
export function resolveModel(
  config: RunConfig,
  vocabulary: Pick<Vocabulary, "embeddingRows" | "path">,
  start?: ModelConfig,
): ModelConfig {
  const { preset: name, switch: sparse, ...values } = config.model;
  const base = withDropout(config, sparseBase(start ?? (name ? preset(name) : writtenModel(config)), sparse));
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  const vocabSize = values.vocabSize ?? Math.max(vocabulary.embeddingRows, start?.vocabSize ?? 0);
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

/** The model of a run's own `config.yaml`, in which every key is written. */
function writtenModel({ model: { preset: _, switch: sparse, ...values }, precision }: RunConfig): ModelConfig {
  return modelConfigSchema.parse({ ...values, switch: sparse ?? null, precision });
}

function withDropout({ objective, model }: RunConfig, base: ModelConfig): ModelConfig {
  if (objective !== "pairs") return base;
  const sparse = base.switch && { ...base.switch, expertDropout: model.switch?.expertDropout ?? 0.4 };
  return { ...base, dropout: 0.1, switch: sparse };
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
