import { resolve } from "node:path";
import * as z from "zod";
import { parseDuration } from "../../base/format.js";
import { sha256 } from "../../base/hash.js";
import { modelConfigSchema, switchConfigSchema } from "../../model/config.js";
import { presetNames } from "../../model/presets.js";
import { looksAhead } from "../schedule.js";
import { trackersSchema } from "../trackers/pythonTracker.js";
import { optimizerSchema } from "./optimizerConfig.js";
import { parseSet, readConfig } from "./readConfig.js";
import { whereItLies } from "./whereItLies.js";

const size = z.int().min(1);
const positive = z.number().positive();

/** `setTimeout`'s longest time. */
const longestStop = 24 * 86_400;
const duration = z.string().refine((text) => {
  const seconds = parseDuration(text);
  return seconds !== undefined && seconds > 0 && seconds <= longestStop;
}, "a time is written 90s, 45m, 3h, 1h30m or 2d, up to 24d");

/**
 * A preset by name, or none for the model of `init.from`; every other key stands for that model's own value, `vocabSize` for what the
 * dataset's vocabulary needs.
 */
const modelSchema = z
  .strictObject({
    preset: z
      .enum(presetNames)
      .optional()
      .describe("The model that the other keys change; docs/model.md lists all. That of init.from where left out."),
    ...modelConfigSchema.omit({ precision: true, switch: true }).partial().shape,
    switch: switchConfigSchema
      .partial()
      .nullable()
      .optional()
      .describe("`{experts: 8}` makes a dense preset sparse; null makes a sparse one dense."),
  })
  .describe("A preset, and any key that is to be another. vocabSize follows the dataset's vocabulary.");

export const mixingSchema = z.discriminatedUnion("strategy", [
  z.strictObject({
    strategy: z.literal("temperature"),
    alpha: z
      .number()
      .min(0)
      .default(1 / 3.3)
      .describe("A language's share is its tokens to the power of this: 1 is proportional, 0 uniform; mT5 has 1/3.3."),
  }),
  z.strictObject({ strategy: z.literal("proportional") }),
  z.strictObject({ strategy: z.literal("uniform") }),
  z.strictObject({
    strategy: z.literal("unimax"),
    maxEpochs: positive.default(1).describe("No language is read more often than this."),
    budgetTokens: positive.describe("Tokens of all languages together over the run."),
  }),
]);

/** A training run, as `pipelines/*.yaml` describe it. `prefault` fills in what an absent section's own defaults are. */
export const runConfigSchema = z
  .strictObject({
    name: z.string().min(1).optional().describe("What the report and trackers call the run; the run directory's name."),
    dataset: z.string().min(1).describe("Folder of a tokenized dataset, relative to the working directory."),
    run: z.string().min(1).describe("Run directory, relative to the working directory."),
    objective: z
      .enum(["span-corruption", "pairs"])
      .optional()
      .describe("Absent: span corruption of a dataset of text. pairs: fine-tuning on text-to-text pairs."),
    init: z
      .strictObject({
        from: z
          .string()
          .min(1)
          .describe("A run, a checkpoint, or a Hugging Face directory of T5, mT5, umT5 or SwitchTransformers."),
        weights: z
          .string()
          .optional()
          .describe("SHA-256 over its weights: written by the run, so that it goes on with no others."),
      })
      .optional()
      .describe("Weights to start from; fresh ones where left out."),
    teacher: z
      .strictObject({
        from: z.string().min(1).describe("A run, a checkpoint, or a Hugging Face directory, of the same vocabulary."),
        weight: z
          .number()
          .min(0)
          .max(1)
          .default(0.25)
          .describe("Of the teacher's probabilities in the loss; the targets have the rest (Switch paper §4.2)."),
        temperature: z
          .number()
          .positive()
          .default(1)
          .describe("Logits of both models are divided by it where their probabilities are compared."),
        weights: z
          .string()
          .optional()
          .describe("SHA-256 over its weights: written by the run, so that it goes on with no others."),
      })
      .optional()
      .describe("A model whose probabilities are learnt: distillation, by `mswitch distill`."),
    model: modelSchema.prefault({}),
    stream: z.strictObject({
      batchSize: size.describe("Examples a step, over all processes and micro-batches."),
      inputLength: size.min(2).describe("Encoder positions of an example."),
      targetLength: size
        .min(2)
        .optional()
        .describe("Decoder positions of text-to-text pairs; of span corruption they follow from inputLength."),
      noiseDensity: z
        .number()
        .gt(0)
        .max(0.9)
        .optional()
        .describe("Share of the tokens that span corruption masks. Absent: 0.15, as T5."),
      meanNoiseSpanLength: z
        .number()
        .min(1)
        .optional()
        .describe("Mean number of tokens of a masked span. Absent: 3, as T5."),
      packing: z
        .boolean()
        .optional()
        .describe(
          "Of text-to-text pairs: as many of a task and language in a row as fit. Absent or false: a row each, padded.",
        ),
      mixing: mixingSchema.prefault({ strategy: "temperature" }).describe("How often each language is drawn."),
      languages: z.array(z.string()).min(1).optional().describe("Codes; all of the dataset where left out."),
      skipBatches: z
        .int()
        .min(0)
        .optional()
        .describe("Step n takes batch n + skipBatches: a way past data that a run diverges on."),
    }),
    mesh: z
      .strictObject({
        data: size.optional().describe("Ranks that share each batch and hold the same; what the other axes leave."),
        expert: size.default(1).describe("Ranks that each hold some of every layer's experts, and share each batch."),
        model: size.default(1).describe("Ranks that each hold a part of dFf, heads and vocabulary."),
        zero: z
          .literal([0, 1])
          .optional()
          .describe("1: ranks that hold the same parameters share their optimizer's state (ZeRO stage 1). Absent: 0."),
        timeout: duration
          .optional()
          .describe("How long a rank waits for the others before the run fails: 90s, 30m; 10m where left out."),
      })
      .optional()
      .describe(
        "How several processes share the run; their number is data × expert × model. All along data where absent.",
      ),
    batch: z
      .strictObject({
        accumulate: size
          .default(1)
          .describe(
            "Micro-batches that a step's rows are computed in, one after the other: less memory, the same batch.",
          ),
      })
      .optional(),
    optimizer: optimizerSchema.prefault({}),
    steps: size.describe("Updates in all."),
    seed: z.int().min(0).default(0).describe("Root of all randomness: weights, batches, noise."),
    evaluation: z
      .strictObject({
        every: z
          .union([size, z.array(z.int().min(0)).min(1)])
          .default(1000)
          .describe("Every so many steps, or at exactly these; before the first step and after the last one always."),
        examplesPerLanguage: size.default(16),
        languages: z
          .union([z.literal("all"), z.array(z.string()).min(1)])
          .optional()
          .describe("What is evaluated, where it is not what is trained on: codes, or all of the dataset."),
        best: z
          .strictObject({
            metric: z
              .string()
              .min(1)
              .default("negLogPerplexity")
              .describe(
                "negLogPerplexity or a metric of the evaluations; the mean over languages counts, higher is better.",
              ),
            patience: size
              .optional()
              .describe("Training ends after so many evaluations without a better one; never early where left out."),
          })
          .optional()
          .describe("By which the best checkpoint is told, which is kept."),
      })
      .prefault({}),
    checkpoints: z
      .strictObject({
        every: size.default(1000).describe("Every so many steps; after the last one always."),
        keepLast: size.default(2).describe("How many of the latest are kept."),
        keepEvery: size.optional().describe("Those at multiples of this step are kept for good."),
      })
      .prefault({}),
    stopAfter: duration
      .optional()
      .describe(
        "A process stops after this time, as at SIGTERM, with a checkpoint: 45m, 3h, 1h30m. The same command goes on.",
      ),
    logEvery: size.default(10).describe("Steps between two lines of the log."),
    trackers: trackersSchema.optional().describe("Where measurements go beside the run directory and TensorBoard."),
    backend: z.string().optional().describe("TensorFlow.js backend; the best one found where left out."),
    precision: z
      .enum(["float32", "bfloat16", "selective"])
      .default("float32")
      .describe("selective: products in bfloat16, router in float32."),
    recordSteps: z
      .boolean()
      .default(true)
      .describe(
        "On the torch backend: record the training step once and replay it, on CUDA as a graph, on the CPU as a list of calls.",
      ),
    branch: z
      .strictObject({ step: size, configuration: z.string() })
      .optional()
      .describe(
        "Written by --from-step: step, and hash of the configuration, of the run whose checkpoint it begins with.",
      ),
  })
  .superRefine(({ model, init, objective, stream }, context) => {
    const missing = (path: string[]): void => {
      context.addIssue({ code: "invalid_type", expected: "string", path, message: "Invalid input: it is needed" });
    };
    if (!init && model.preset === undefined) missing(["model", "preset"]);
    if (objective === "pairs" && stream.targetLength === undefined) missing(["stream", "targetLength"]);
    if (objective !== "pairs" && stream.packing) {
      const message = "Invalid input: span corruption fills its rows; packing is for objective: pairs";
      context.addIssue({ code: "custom", path: ["stream", "packing"], message });
    }
    for (const key of ["noiseDensity", "meanNoiseSpanLength"] as const) {
      if (objective !== "pairs" || stream[key] === undefined) continue;
      const message = "Invalid input: text-to-text pairs are not masked; it is for span corruption";
      context.addIssue({ code: "custom", path: ["stream", key], message });
    }
  });

export type RunConfig = z.infer<typeof runConfigSchema> & { name: string };

/**
 * Keys that do not change what is learnt, step by step: a run may go on with other values. All others decide the result, and a
 * run directory with other values holds another run. `steps` is free where the learning rate does not look ahead to the end;
 * `dataset` because its content is compared by hash, not by path; another `backend` computes the same but for rounding.
 */
const freeKeys = [
  "name",
  "dataset",
  "run",
  "model.preset",
  // What lies there is compared by its hash, init.weights.
  "init.from",
  "teacher.from",
  "evaluation.every",
  "checkpoints",
  "logEvery",
  "backend",
  "mesh",
  "recordSteps",
  "stopAfter",
  "trackers",
];

export interface RunConfigOverrides {
  /** `path=value` each, as given to `--set`. */
  sets?: readonly string[];
  /** Run directory, before the file's. */
  run?: string;
  backend?: string;
  /** Dataset, before the file's. */
  dataset?: string;
  skipBatches?: number;
  branch?: RunConfig["branch"];
}

/**
 * Reads a pipeline file. Relative paths in it, as in `--set` and `--run`, are relative to the working directory; they come back
 * absolute. The `config.yaml` of a run directory is of the run that lies there, wherever that was moved or copied to: see `whereItLies`.
 *
 * @throws usageError with every fault at its line, or at its flag
 */
export async function readRunConfig(
  file: string,
  { sets = [], ...flags }: RunConfigOverrides = {},
): Promise<RunConfig> {
  const overrides = sets.map(parseSet);
  const add = (flag: string, path: string[], value: unknown): void => {
    if (value !== undefined) overrides.push({ flag: `--${flag} ${String(value)}`, path, value });
  };
  add("run", ["run"], flags.run);
  add("backend", ["backend"], flags.backend);
  add("dataset", ["dataset"], flags.dataset);
  add("skip-batches", ["stream", "skipBatches"], flags.skipBatches);
  if (flags.branch) overrides.push({ flag: `--from-step ${flags.branch.step}`, path: ["branch"], value: flags.branch });
  const moved = await whereItLies(file);
  const isGiven = (key: string): boolean => overrides.some(({ path }) => path[0] === key);
  for (const key of ["run", "dataset"] as const) {
    if (moved && !isGiven(key)) overrides.push({ flag: file, path: [key], value: moved[key] });
  }
  const config = await readConfig(runConfigSchema, file, overrides, fineTuningDefaults);
  const folder = resolve(config.run);
  const name = config.name ?? folder.split(/[\\/]/).at(-1)!;
  const init = config.init && { ...config.init, from: resolve(config.init.from) };
  const teacher = config.teacher && { ...config.teacher, from: resolve(config.teacher.from) };
  return {
    ...config,
    ...(init ? { init } : {}),
    ...(teacher ? { teacher } : {}),
    name,
    dataset: resolve(config.dataset),
    run: folder,
  };
}

/** What a run on pairs has where its file says nothing else: T5's constant learning rate. Rates of dropout: see `resolveModel`. */
function fineTuningDefaults(value: Record<string, unknown>): void {
  if (value.objective !== "pairs") return;
  value.optimizer ??= {};
  const { optimizer } = value;
  if (typeof optimizer !== "object" || optimizer === null || Array.isArray(optimizer)) return;
  const keys = optimizer as Record<string, unknown>;
  if (keys.algorithm === undefined || keys.algorithm === "adafactor") {
    keys.learningRate ??= { schedule: "constant", base: 1e-3 };
  }
}

/** The part of a configuration that decides the result, as `dotted.key → value`, in sorted order. */
export function identityOf(config: RunConfig): Map<string, string> {
  const free = looksAhead(config.optimizer.learningRate) ? freeKeys : [...freeKeys, "steps"];
  const isFree = (key: string): boolean => free.some((other) => key === other || key.startsWith(`${other}.`));
  return new Map(
    flatten(config)
      .filter(([key]) => !isFree(key))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** SHA-256 over what decides a run's result: configuration, and the content of its dataset and vocabulary. */
export function identityHash(config: RunConfig, content: { dataset: string; vocabulary: string }): string {
  return sha256(JSON.stringify([...identityOf(config), content.dataset, content.vocabulary]));
}

function flatten(value: unknown, prefix = ""): [string, string][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value === undefined ? [] : [[prefix, JSON.stringify(value)]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, prefix === "" ? key : `${prefix}.${key}`));
}
