import { createHash } from "node:crypto";
import { dirname, isAbsolute, join, resolve } from "node:path";
import * as z from "zod";
import { usageError } from "../base/errors.js";
import { readConfig } from "../train/config/readConfig.js";

const overrides = z.record(z.string().min(1), z.unknown());

/** What no study comes near: a slip in a grid is named before anything is trained. */
const mostRuns = 10_000;

/** A study as `pipelines/studies/*.yaml` describe it: a base run, what is varied, and the seeds of each variant. */
export const studySchema = z.strictObject({
  title: z.string().min(1).describe("What it asks, in a line."),
  base: z.string().min(1).describe("Pipeline file of the base run, relative to the study's file."),
  out: z.string().min(1).describe("Folder of the runs and the report, relative to the working directory."),
  set: overrides.default({}).describe("Values for every run, `dotted.key: value` as `pretrain --set` takes them."),
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
  /** Its run directory. */
  directory: string;
  /** `path=value` of each override, for `pretrain --set`. */
  sets: string[];
  /** Directories of runs that must have ended before: those it starts or learns from. */
  needs: string[];
}

export interface Study {
  title: string;
  /** Pipeline file of the base run. */
  base: string;
  out: string;
  threshold: number | undefined;
  baseline: string;
  variants: string[];
  seeds: number[];
  /** Seed by seed, each with all variants: a study that is not finished compares what it has. */
  runs: StudyRun[];
}

/**
 * Reads a study and writes out its runs.
 *
 * @throws usageError with every fault of the file at its line, or where variants cannot be told apart
 */
export async function readStudy(file: string, out?: string): Promise<Study> {
  const study = await readConfig(studySchema, file);
  const variants = expandVariants(study);
  const baseline = study.baseline ?? variants[0].name;
  if (!variants.some(({ name }) => name === baseline)) {
    throw usageError(`the study has no variant ${baseline}`, {
      code: "study-invalid",
      where: file,
      why: `it has ${variants.map(({ name }) => name).join("; ")}`,
    });
  }
  if (variants.length * study.seeds.length > mostRuns) {
    throw usageError(`the study has ${variants.length * study.seeds.length} runs`, {
      code: "study-invalid",
      where: file,
      why: `at most ${mostRuns} are taken`,
    });
  }
  const folder = resolve(out ?? study.out);
  const directoryOf = (name: string, seed: number): string => join(folder, "runs", `${slug(name)}-seed${seed}`);
  const runs = study.seeds.flatMap((seed) =>
    variants.map(({ name, values }, i): StudyRun => {
      const needs: string[] = [];
      const ofOthers = values.map(([path, value]): readonly [string, unknown] => {
        const other = typeof value === "string" ? /^variant:(.*)$/.exec(value)?.[1] : undefined;
        if (other === undefined) return [path, value];
        if (!variants.slice(0, i).some((variant) => variant.name === other)) {
          throw usageError(`${path}: there is no variant ${other} before ${name}`, {
            code: "study-invalid",
            where: file,
          });
        }
        needs.push(directoryOf(other, seed));
        return [path, directoryOf(other, seed)];
      });
      return {
        variant: name,
        seed,
        directory: directoryOf(name, seed),
        needs: [...new Set(needs)],
        sets: [...ofOthers, ["seed", seed] as const, ["name", name] as const].map(toSet),
      };
    }),
  );
  return {
    title: study.title,
    base: isAbsolute(study.base) ? study.base : join(dirname(resolve(file)), study.base),
    out: folder,
    threshold: study.threshold,
    baseline,
    variants: variants.map(({ name }) => name),
    seeds: study.seeds,
    runs,
  };
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
