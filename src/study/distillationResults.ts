import { existsSync } from "node:fs";
import { join } from "node:path";
import { compression, shareKept } from "../analysis/distillation.js";
import { type SeedMean, seedMean } from "../analysis/seeds.js";
import type { Run } from "../run/readRun.js";
import { readRunFile } from "../run/runDirectory.js";
import { type EvalPoint, evalPointSchema, runFile } from "../run/runFiles.js";
import type { ResultOf } from "./taskResults.js";

/** What a distilled variant of a study kept of its teacher's gain: means over seeds. */
export interface DistillationResult {
  variant: string;
  /** Parameters, and the share of the teacher's that the student does without. */
  parameters: { student: number; teacher: number };
  compression: number;
  /** Of the mean over languages. */
  teacher: SeedMean | null;
  /**
   * By the paper's formula, of the means over languages and seeds, and of each seed; null where the teacher had no gain. A mean of the seeds' shares
   * would be ruled by a seed whose teacher gained next to nothing.
   */
  kept: number | null;
  keptBySeed: (number | null)[];
  languages: LanguageKept[];
}

export interface LanguageKept {
  code: string;
  student: number;
  teacher: number;
  distilled: number;
  kept: number | null;
}

/** A distilled run, the baseline's run of the same seed, and the teacher on the same examples. */
interface Triple {
  distilled: Run;
  student: Run;
  teacher: EvalPoint;
}

/**
 * Holds a variant's runs that have a teacher against it and against the student that had none, the baseline.
 *
 * @param pairs the variant's run and the baseline's of the same seed, of each seed that has both
 * @param codes of the languages that count
 * @returns undefined where the variant was not distilled
 */
export async function distillationResult(
  variant: string,
  pairs: readonly { run: Run; baseline: Run }[],
  codes: readonly string[],
  resultOf: ResultOf,
): Promise<DistillationResult | undefined> {
  const triples: Triple[] = [];
  for (const { run, baseline } of pairs) {
    const teacher = await readTeacher(run.dir);
    if (teacher && run.description.teacher && !baseline.description.teacher) {
      triples.push({ distilled: run, student: baseline, teacher });
    }
  }
  if (triples.length === 0) return undefined;
  const [{ distilled }] = triples;
  const parameters = {
    student: distilled.description.parameters,
    teacher: distilled.description.teacher!.parameters,
  };
  const shared = codes.filter((code) => triples.every(({ teacher }) => Object.hasOwn(teacher.languages, code)));
  const overLanguages = triples.map((triple) => qualitiesOf(triple, shared, resultOf));
  return {
    ...{ variant, parameters, compression: compression(parameters) },
    teacher: seedMean(overLanguages.map(({ teacher }) => teacher)),
    kept: shareKept(meansOf(overLanguages)),
    keptBySeed: overLanguages.map(shareKept),
    languages: shared.map((code) => {
      const means = meansOf(triples.map((triple) => qualitiesOf(triple, [code], resultOf)));
      return { code, ...means, kept: shareKept(means) };
    }),
  };
}

type Qualities = Record<"student" | "teacher" | "distilled", number>;

/** Means over seeds. */
function meansOf(all: readonly Qualities[]): Qualities {
  const of = (key: keyof Qualities): number => mean(all.map((each) => each[key]));
  return { student: of("student"), teacher: of("teacher"), distilled: of("distilled") };
}

/** Means over languages. */
function qualitiesOf({ distilled, student, teacher }: Triple, codes: readonly string[], resultOf: ResultOf): Qualities {
  const of = ({ languages }: EvalPoint): number => mean(codes.map((code) => languages[code].negLogPerplexity));
  return { distilled: of(resultOf(distilled)), student: of(resultOf(student)), teacher: of(teacher) };
}

async function readTeacher(directory: string): Promise<EvalPoint | undefined> {
  const path = join(directory, runFile.teacher);
  if (!existsSync(path)) return undefined;
  const hint = "delete it and go on with the run: it is measured again";
  return readRunFile(path, evalPointSchema, "the teacher's evaluation", hint);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
