import { createHash } from "node:crypto";
import { dirname, isAbsolute, join, resolve } from "node:path";
import * as z from "zod";
import { usageError } from "../base/errors.js";
import { type TaskName, taskFormats } from "../corpus/tasks/taskFormats.js";
import { type ConfigOverride, parseSet, readConfig } from "../train/config/readConfig.js";

const overrides = z.record(z.string().min(1), z.unknown());
/** A name that is also a folder's. */
const folderName = z.string().regex(/^[\w-]+$/, "a name has letters, digits, - and _");

/** Keys of a run that the study gives values itself. */
const givenKeys = ["seed", "name", "run"];

/** What no study comes near: a slip in a grid is named before anything is trained. */
const mostRuns = 10_000;

const datasetSchema = z.union([
  z.string().min(1),
  z.strictObject({
    source: z.string().min(1).describe("As --source of preprocess, relative to the working directory."),
    vocab: z.string().min(1).describe("SentencePiece model, or `dataset:NAME`: that of another dataset."),
    pairs: z
      .union([z.boolean(), z.enum(Object.keys(taskFormats) as [TaskName, ...TaskName[]])])
      .default(false)
      .describe(
        "The source is a folder of text-to-text pairs; or, by the name of a task that `mswitch tasks` knows, of that task's published files.",
      ),
    tasks: z.array(z.string().min(1)).min(1).optional().describe("Of pairs: which tasks; all where left out."),
    languages: z.array(z.string().min(1)).min(1).optional().describe("Codes; all where left out."),
  }),
]);
export type StudyDataset = Exclude<z.infer<typeof datasetSchema>, string>;

/** A study as `pipelines/studies/*.yaml` describe it: a base run, what is varied, and the seeds of each variant. */
export const studySchema = z.strictObject({
  title: z.string().min(1).describe("What it asks, in a line."),
  base: z.string().min(1).describe("Pipeline file of the base run, relative to the study's file."),
  out: z.string().min(1).describe("Folder of the runs and the report, relative to the working directory."),
  shared: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Folder of datasets, models and runs, where several studies have some in common: a run of the same name and seed is then trained once. That of `out` where left out.",
    ),
  datasets: z
    .record(folderName, datasetSchema)
    .default({})
    .describe(
      "Datasets that `mswitch preprocess` makes first, or folders of such. `dataset:NAME` as a value stands for the folder.",
    ),
  models: z
    .record(
      z.string().min(1),
      z.strictObject({
        base: z.string().min(1).describe("Pipeline file, relative to the study's file."),
        set: overrides.default({}).describe("Values, `dotted.key: value`."),
      }),
    )
    .default({})
    .describe(
      "Runs that are trained first, one for each seed, and are no part of the comparison: what variants start or learn from. `model:NAME` as a value stands for the run directory of the same seed.",
    ),
  set: overrides
    .default({})
    .describe("Values for the run of every variant, `dotted.key: value` as `pretrain --set` takes them."),
  variants: z
    .record(z.string().min(1), overrides)
    .default({})
    .describe(
      "Named sets of values; one without values where left out. `variant:NAME` as a value stands for the run directory of a variant above, with the same seed: what to start or to learn from.",
    ),
  grid: z
    .record(z.string().min(1), z.union([z.array(z.unknown()).min(1), z.record(z.string().min(1), overrides)]))
    .default({})
    .describe("All combinations with each variant: a key's values, or an axis of named sets of values."),
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .refine((seeds) => new Set(seeds).size === seeds.length, "a seed stands there twice"),
  baseline: z
    .string()
    .optional()
    .describe("Name of the variant that the others are compared with; the first where left out."),
  result: z
    .enum(["last", "best"])
    .default("last")
    .describe(
      "Which of a run's evaluations is its result: the last one, or the one with the best mean over languages of the negative log perplexity, where runs end in overfitting.",
    ),
  threshold: z
    .number()
    .optional()
    .describe(
      "Quality whose time is measured, nats a token (Table 1: −1.50); the baseline's at the end where left out.",
    ),
});
export type StudyFile = z.infer<typeof studySchema>;

export interface StudyRun {
  variant: string;
  seed: number;
  /** Its pipeline file. */
  base: string;
  /** Its run directory. */
  directory: string;
  /** `path=value` of each override, for `pretrain --set`. */
  sets: string[];
  /** Directories of runs that must have ended before: those it starts or learns from. */
  needs: string[];
}

/** A dataset that the study makes of its sources. */
export interface MadeDataset extends StudyDataset {
  name: string;
  directory: string;
}

export interface Study {
  title: string;
  out: string;
  threshold: number | undefined;
  result: StudyFile["result"];
  baseline: string;
  variants: string[];
  seeds: number[];
  /** In the order in which they are made: one whose vocabulary another has comes first. Only those that a run reads. */
  datasets: MadeDataset[];
  /** Runs that variants start from, seed by seed. */
  models: StudyRun[];
  /** Seed by seed, each with all variants: a study that is not finished compares what it has. */
  runs: StudyRun[];
}

/** All that a study trains, in the order of its work: of each seed its models, then its variants. */
export function allRuns({ seeds, models, runs }: Study): StudyRun[] {
  return seeds.flatMap((seed) => [...models, ...runs].filter((run) => run.seed === seed));
}

/**
 * Reads a study and writes out its runs.
 *
 * @param sets as given to `--set`: of one of the study's own keys (`datasets.text=DIR`, `seeds=[1]`), else of the run of every variant
 * @throws usageError with every fault of the file at its line, or where variants cannot be told apart
 */
export async function readStudy(file: string, out?: string, sets: readonly string[] = []): Promise<Study> {
  const given = sets.map((text) => ({ text, override: parseSet(text) }));
  const isOwn = ({ path }: ConfigOverride): boolean => Object.hasOwn(studySchema.shape, path[0]);
  const own = given.filter(({ override }) => isOwn(override)).map(({ override }) => override);
  const ofRuns = given.filter(({ override }) => !isOwn(override)).map(({ text }) => text);
  const study = await readConfig(studySchema, file, own);
  const variants = expandVariants(study);
  const baseline = study.baseline ?? variants[0].name;
  const invalid = (message: string, why?: string): Error =>
    usageError(message, { code: "study-invalid", where: file, why });
  if (!variants.some(({ name }) => name === baseline)) {
    throw invalid(`the study has no variant ${baseline}`, `it has ${variants.map(({ name }) => name).join("; ")}`);
  }
  const names = variants.map(({ name }) => name);
  const same = names.find((name, i) => names.indexOf(name) !== i);
  if (same !== undefined)
    throw invalid(`two variants are called ${same}`, "a variant's runs are told apart by its name");
  const taken = [
    ...variants.flatMap(({ values }) => values.map(([path]) => path)),
    ...Object.values(study.models).flatMap(({ set }) => Object.keys(set)),
    ...given.filter(({ override }) => !isOwn(override)).map(({ override }) => override.path.join(".")),
  ].find((path) => givenKeys.includes(path));
  if (taken !== undefined) {
    throw invalid(
      `${taken} cannot be set`,
      "a study gives each run its seed, its name and its directory: see seeds and out",
    );
  }
  const modelNames = Object.keys(study.models);
  const twice = variants.find(({ name }) => modelNames.includes(name));
  if (twice) throw invalid(`${twice.name} is a model and a variant`, "both would be the same run");
  const count = (variants.length + modelNames.length) * study.seeds.length;
  if (count > mostRuns) throw invalid(`the study has ${count} runs`, `at most ${mostRuns} are taken`);
  const folder = resolve(out ?? study.out);
  // --out takes everything along, unless --set shared says otherwise.
  const isElsewhere = study.shared !== undefined && (out === undefined || own.some(({ path }) => path[0] === "shared"));
  const shared = isElsewhere ? resolve(study.shared!) : folder;
  const relativeToFile = (path: string): string => (isAbsolute(path) ? path : join(dirname(resolve(file)), path));
  const directoryOf = (name: string, seed: number): string => join(shared, "runs", `${slug(name)}-seed${seed}`);
  const datasets = resolveDatasets(study, join(shared, "datasets"), invalid);

  /** What a value stands for, and the run directory that must be there for it. */
  const resolved = (path: string, value: unknown, seed: number, above: string[]): { value: unknown; need?: string } => {
    const [, kind, name] = (typeof value === "string" && /^(variant|model|dataset):(.*)$/.exec(value)) || [];
    if (kind === undefined) return { value };
    const known = { variant: above, model: modelNames, dataset: [...datasets.keys()] }[kind as "variant"];
    if (!known.includes(name)) {
      throw invalid(`${path}: there is no ${kind} ${name}`, `there is ${known.join("; ") || "none"}`);
    }
    if (kind === "dataset") return { value: datasets.get(name)!.directory };
    const need = directoryOf(name, seed);
    return { value: need, need };
  };
  const runOf = (
    { name, values, base }: { name: string; values: Values; base: string },
    seed: number,
    { directory, above, more }: { directory: string; above: string[]; more: readonly string[] },
  ): StudyRun => {
    const all = values.map(([path, value]) => ({ path, ...resolved(path, value, seed, above) }));
    const needs = all.map(({ need }) => need).filter((need) => need !== undefined);
    const sets = [
      ...all.map(({ path, value }) => [path, value] as const),
      ["seed", seed] as const,
      ["name", name] as const,
    ];
    return {
      ...{ variant: name, seed, directory, base: relativeToFile(base) },
      needs: [...new Set(needs)],
      sets: [...sets.map(toSet), ...more],
    };
  };
  const runs = study.seeds.flatMap((seed) =>
    variants.map((variant, i): StudyRun => {
      const above = variants.slice(0, i).map(({ name }) => name);
      const directory = directoryOf(variant.name, seed);
      return runOf({ ...variant, base: study.base }, seed, { directory, above, more: ofRuns });
    }),
  );
  const models = study.seeds.flatMap((seed) =>
    Object.entries(study.models).map(([name, { base, set }]) => {
      const place = { directory: directoryOf(name, seed), above: [], more: [] };
      return runOf({ name, base, values: Object.entries(set) }, seed, place);
    }),
  );
  return {
    title: study.title,
    out: folder,
    threshold: study.threshold,
    result: study.result,
    baseline,
    variants: variants.map(({ name }) => name),
    seeds: study.seeds,
    datasets: usedDatasets(datasets, [...runs, ...models]),
    models,
    runs,
  };
}

/** The folder of each dataset, and of those that are made here what they are made of. A vocabulary `dataset:NAME` is of one above. */
function resolveDatasets(
  { datasets }: StudyFile,
  folder: string,
  invalid: (message: string, why?: string) => Error,
): Map<string, { directory: string; made?: MadeDataset }> {
  const resolved = new Map<string, { directory: string; made?: MadeDataset }>();
  for (const [name, dataset] of Object.entries(datasets)) {
    if (typeof dataset === "string") {
      resolved.set(name, { directory: resolve(dataset) });
      continue;
    }
    const other = /^dataset:(.*)$/.exec(dataset.vocab)?.[1];
    const source = other === undefined ? undefined : resolved.get(other);
    if (other !== undefined && !source) throw invalid(`datasets.${name}.vocab: there is no dataset ${other} above it`);
    const vocab = source ? join(source.directory, "vocabulary.model") : dataset.vocab;
    const directory = join(folder, name);
    resolved.set(name, { directory, made: { ...dataset, vocab, name, directory } });
  }
  return resolved;
}

/** Datasets to make: those that a run reads, and those whose vocabulary they have. */
function usedDatasets(
  datasets: ReadonlyMap<string, { directory: string; made?: MadeDataset }>,
  runs: readonly StudyRun[],
): MadeDataset[] {
  // The last value of a key counts.
  const read = runs.map(({ sets }) => sets.map(parseSet).findLast(({ path }) => path.join(".") === "dataset")?.value);
  const isUsed = ({ directory }: MadeDataset): boolean =>
    read.includes(directory) ||
    made.some((other) => other.vocab === join(directory, "vocabulary.model") && isUsed(other));
  const made = [...datasets.values()].map((dataset) => dataset.made).filter((dataset) => dataset !== undefined);
  return made.filter(isUsed);
}

type Values = (readonly [path: string, value: unknown])[];

/** Variants times grid, in the order of the file, later keys varying fastest. */
function expandVariants(study: StudyFile): { name: string; values: Values }[] {
  const common: Values = Object.entries(study.set);
  const named = Object.entries(study.variants).map(([name, values]) => ({
    name,
    values: Object.entries(values) as Values,
  }));
  let all: { name: string; values: Values }[] = named.length > 0 ? named : [{ name: "", values: [] }];
  for (const [path, choices] of Object.entries(study.grid)) {
    all = all.flatMap(({ name, values }) =>
      choicesOf(path, choices).map((choice) => ({
        name: [...(name ? [name] : []), choice.name].join(", "),
        values: [...values, ...choice.values],
      })),
    );
  }
  return all.map(({ name, values }) => ({ name: name || "base", values: [...common, ...values] }));
}

/** A key's values are named by its last part and themselves. */
function choicesOf(path: string, choices: StudyFile["grid"][string]): { name: string; values: Values }[] {
  return Array.isArray(choices)
    ? choices.map((value) => ({ name: `${path.split(".").at(-1)} ${plain(value)}`, values: [[path, value]] }))
    : Object.entries(choices).map(([name, values]) => ({ name, values: Object.entries(values) }));
}

const plain = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** JSON is YAML. */
const toSet = ([path, value]: readonly [string, unknown]): string => `${path}=${JSON.stringify(value)}`;

/** A folder's name for a variant: readable, and another for another variant. */
function slug(name: string): string {
  const readable = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(0, 40);
  return `${readable}-${createHash("sha256").update(name).digest("hex").slice(0, 6)}`;
}
