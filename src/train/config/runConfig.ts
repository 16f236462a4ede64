import { resolve } from "node:path";
import * as z from "zod";
import { sha256 } from "../../base/hash.js";
import { modelConfigSchema, switchConfigSchema } from "../../model/config.js";
import { presetNames } from "../../model/presets.js";
import { looksAhead } from "../schedule.js";
import { optimizerSchema } from "./optimizerConfig.js";
import { parseSet, readConfig } from "./readConfig.js";
import { whereItLies } from "./whereItLies.js";

const size = z.int().min(1);
const positive = z.number().positive();

/** A preset by name; every other key stands for the preset's own value, `vocabSize` for what the dataset's vocabulary needs. */
const modelSchema = z.strictObject({
  preset: z.enum(presetNames),
  ...modelConfigSchema.omit({ precision: true, switch: true }).partial().shape,
  switch: switchConfigSchema.partial().nullable().optional(),
});

const mixingSchema = z.discriminatedUnion("strategy", [
  z.strictObject({
    strategy: z.literal("temperature"),
    alpha: z
      .number()
      .min(0)
      .default(1 / 3.3),
  }),
  z.strictObject({ strategy: z.literal("proportional") }),
  z.strictObject({ strategy: z.literal("uniform") }),
  z.strictObject({ strategy: z.literal("unimax"), maxEpochs: positive.default(1), budgetTokens: positive }),
]);

/** A training run, as `pipelines/*.yaml` describe it. `prefault` fills in what an absent section's own defaults are. */
export const runConfigSchema = z.strictObject({
  /** How the report calls the run; the run directory's name where left out. */
  name: z.string().min(1).optional(),
  /** Folder of a tokenized dataset. */
  dataset: z.string().min(1),
  /** Run directory. */
  run: z.string().min(1),
  model: modelSchema,
  stream: z.strictObject({
    batchSize: size,
    inputLength: size.min(2),
    mixing: mixingSchema.prefault({ strategy: "temperature" }),
    languages: z.array(z.string()).min(1).optional(),
    /** Step n takes batch n + skipBatches: a way past data that a run diverges on. */
    skipBatches: z.int().min(0).optional(),
  }),
  /** Absent: one micro-batch a step. */
  batch: z
    .strictObject({
      /** Micro-batches that the rows of a step are computed in, one after the other: less memory, the same batch. */
      accumulate: size.default(1),
    })
    .optional(),
  optimizer: optimizerSchema.prefault({}),
  steps: size,
  seed: z.int().min(0).default(0),
  evaluation: z
    .strictObject({
      /** Every so many steps, or at exactly these; before the first step and after the last one always. */
      every: z.union([size, z.array(z.int().min(0)).min(1)]).default(1000),
      examplesPerLanguage: size.default(16),
    })
    .prefault({}),
  checkpoints: z
    .strictObject({
      every: size.default(1000),
      /** How many of the latest are kept. */
      keepLast: size.default(2),
      /** Those at multiples of this are kept for good. */
      keepEvery: size.optional(),
    })
    .prefault({}),
  logEvery: size.default(10),
  /** The best one found where left out. */
  backend: z.string().optional(),
  precision: z.enum(["float32", "bfloat16", "selective"]).default("float32"),
  /** On a backend that can: record the training step once and replay it, as a CUDA graph. */
  recordSteps: z.boolean().default(true),
  /** Of a run that goes on from another run's checkpoint, written by `--from-step`: the step, and the hash of that run's configuration. */
  branch: z.strictObject({ step: size, configuration: z.string() }).optional(),
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
  "evaluation.every",
  "checkpoints",
  "logEvery",
  "backend",
  "recordSteps",
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
  const config = await readConfig(runConfigSchema, file, overrides);
  const folder = resolve(config.run);
  const name = config.name ?? folder.split(/[\\/]/).at(-1)!;
  return { ...config, name, dataset: resolve(config.dataset), run: folder };
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
