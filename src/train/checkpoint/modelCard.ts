import { plural } from "../../base/format.js";
import { findLanguage } from "../../corpus/shards/languages.js";
import type { DatasetManifest } from "../../dataset/format/manifest.js";
import { modelTypeOf } from "../../model/checkpoint/huggingFaceConfig.js";
import type { ModelConfig } from "../../model/config.js";
import type { EvalPoint, RunDescription } from "../../run/runFiles.js";
import type { RunConfig } from "../config/runConfig.js";

/** What a model card is made of. */
export interface ModelCardFacts {
  description: RunDescription;
  config: RunConfig;
  model: ModelConfig;
  manifest: DatasetManifest;
  /** Updates done. */
  step: number;
  /** The last evaluation up to `step`; undefined where there is none. */
  point: EvalPoint | undefined;
  /** Why the directory has no tokenizer; undefined where it has one. */
  noTokenizer: string | undefined;
}

const number = (value: number): string => value.toLocaleString("en-US");

/**
 * The README.md of a checkpoint, as the Hugging Face Hub shows it: what the model is, what it was trained on and how far, its quality in every
 * language, how to load it and what it is not good for. A pure function: no clock and no path.
 */
export function modelCard(facts: ModelCardFacts): string {
  const { description, config, model, step } = facts;
  const languages = Object.keys(description.trainTokens);
  const remote = modelTypeOf(model) === "mswitch";
  const tags = ["mswitch", "t5", ...(model.switch ? ["switch-transformers", "mixture-of-experts"] : ["mt5"])];
  const head = [
    "---",
    "library_name: transformers",
    "language:",
    // Without quotes YAML reads `no` as false.
    ...languages.map((code) => `- "${code}"`),
    "tags:",
    ...tags.map((tag) => `- ${tag}`),
    "---",
  ];
  return `${[
    ...head,
    "",
    // Not the run's name, which may change while the run goes on.
    `# ${description.model}, ${plural(languages.length, "language")}`,
    "",
    `An encoder-decoder of ${number(description.parameters)} parameters, ${isPairs(config) ? "fine-tuned on text-to-text pairs" : "pre-trained by span corruption"} with mswitch, ` +
      `after ${number(step)} steps.`,
    "",
    "## Training",
    "",
    "| | |",
    "|---|---|",
    ...trainingRows(facts).map(([key, value]) => `| ${key} | ${value} |`),
    "",
    "## Data",
    "",
    ...dataSection(facts),
    "",
    "## Quality",
    "",
    ...qualitySection(facts),
    "",
    "## Use",
    "",
    ...useSection(facts, remote),
    "",
    "## Limits",
    "",
    ...limits(model, config, step).map((line) => `- ${line}`),
  ].join("\n")}\n`;
}

function trainingRows({ description, config, model, step }: ModelCardFacts): [string, string][] {
  const { schedule, base } = config.optimizer.learningRate;
  const sparse = model.switch;
  return [
    ["steps", number(step)],
    ["tokens seen (inputs and targets)", number(step * description.tokensPerStep)],
    ["batch", `${number(config.stream.batchSize)} examples of ${number(config.stream.inputLength)} input tokens`],
    ["optimizer", `${config.optimizer.algorithm}, ${schedule}, base ${base}`],
    ["precision", config.precision],
    ["seed", String(config.seed)],
    [
      "layers",
      `${model.encoderLayers} encoder, ${model.decoderLayers} decoder; width ${model.dModel}, feed-forward ${model.dFf}`,
    ],
    ...(sparse
      ? [
          [
            "experts",
            `${sparse.experts} in one of ${sparse.every} feed-forward layers, ${sparse.topK ?? 1} for each token${sparse.sharedExpert ? ", one more for all" : ""}`,
          ] satisfies [string, string],
        ]
      : []),
  ];
}

function dataSection({ description, manifest, config }: ModelCardFacts): string[] {
  const languages = Object.entries(description.trainTokens).sort(([, a], [, b]) => b - a);
  const tokens = languages.reduce((sum, [, count]) => sum + count, 0);
  const largest = languages.slice(0, 5).map(([code, count]) => `${nameOf(code)} ${number(count)}`);
  return [
    `${number(tokens)} training tokens in ${plural(languages.length, "language")}, most of them ${largest.join(", ")}. ` +
      `Languages are mixed by the ${config.stream.mixing.strategy} strategy.`,
    "",
    `Dataset \`${description.dataset.slice(0, 16)}\`, vocabulary \`${description.vocabulary.slice(0, 16)}\` ` +
      `(${number(manifest.vocabulary.size)} SentencePiece pieces).`,
  ];
}

function isPairs({ objective }: RunConfig): boolean {
  return objective === "pairs";
}

function qualitySection({ point, manifest, config }: ModelCardFacts): string[] {
  const pairs = isPairs(config);
  if (!point || Object.keys(point.languages).length === 0) return ["This model has not been evaluated."];
  const rows = Object.entries(point.languages).sort(([, a], [, b]) => b.negLogPerplexity - a.negLogPerplexity);
  const mean = rows.reduce((sum, [, { negLogPerplexity }]) => sum + negLogPerplexity, 0) / rows.length;
  return [
    `Negative log perplexity of ${pairs ? "the targets of held-out pairs" : "span corruption on held-out text"} (nats per target token, higher is better) at step ` +
      `${number(point.step)}. Mean over languages: ${mean.toFixed(4)}.`,
    "",
    "| code | language | quality | examples | training tokens |",
    "|---|---|--:|--:|--:|",
    ...rows.map(
      ([code, { negLogPerplexity, exampleTokens }]) =>
        `| ${code} | ${nameOf(code)} | ${negLogPerplexity.toFixed(4)} | ${exampleTokens.length} | ` +
        `${number(manifest.languages[code]?.train?.tokens ?? 0)} |`,
    ),
  ];
}

function useSection({ noTokenizer }: ModelCardFacts, remote: boolean): string[] {
  const trust = remote ? ", trust_remote_code=True" : "";
  const tokenizer = noTokenizer === undefined;
  return [
    ...(tokenizer ? [] : [`The directory has no tokenizer for Transformers: ${noTokenizer}.`, ""]),
    "```python",
    `from transformers import AutoModelForSeq2SeqLM${tokenizer ? ", AutoTokenizer" : ""}`,
    "",
    `model = AutoModelForSeq2SeqLM.from_pretrained("DIRECTORY"${trust}).eval()`,
    ...(tokenizer
      ? [
          `tokenizer = AutoTokenizer.from_pretrained("DIRECTORY"${trust})`,
          'inputs = tokenizer("A text with a <extra_id_0> in it.", return_tensors="pt")',
          "print(tokenizer.decode(model.generate(**inputs)[0]))",
        ]
      : []),
    "```",
    ...(remote
      ? [
          "",
          "Transformers has no class for this architecture: `modeling_mswitch.py` in the directory is one, written by mswitch.",
        ]
      : []),
  ];
}

function limits(model: ModelConfig, config: RunConfig, step: number): string[] {
  return [
    isPairs(config)
      ? "Fine-tuned on the pairs of its dataset, and of use for those alone."
      : "Pre-trained only: it fills in spans of text that `<extra_id_0>` and so on stand for, and follows no instructions. Fine-tune it before use.",
    "It repeats what its training text says, errors, bias and personal data included. Nothing was filtered beyond what the dataset's preparation did.",
    `It saw inputs of at most ${number(config.stream.inputLength)} tokens.`,
    "Quality is measured on a few examples a language: small differences between languages mean nothing.",
    ...(step < 10_000 ? [`${number(step)} steps are few: mT5 was trained for 1,000,000.`] : []),
    ...(model.switch
      ? ["Every token reaches its expert here; in training, experts had a capacity and dropped what was beyond it."]
      : []),
  ];
}

function nameOf(code: string): string {
  return findLanguage(code)?.name ?? code;
}
