import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type * as z from "zod";
import { messageOf, usageError } from "../base/errors.js";
import {
  type EvalPoint,
  evalPointSchema,
  type MetricsLine,
  parseMetrics,
  type RunDescription,
  runDescriptionSchema,
  runFile,
} from "./runFiles.js";

/** A run directory's plain data. */
export interface Run {
  dir: string;
  description: RunDescription;
  metrics: MetricsLine[];
  /** Numbers, from 1, of the lines of `metrics.jsonl` that are damaged and left out. */
  damagedMetrics: number[];
  /** By rising step; at least one. */
  points: EvalPoint[];
  /** Text of `config.yaml` and `environment.json`, empty where the run has none. */
  config: string;
  environment: string;
}

/**
 * Reads what a report needs of a run directory, finished or not.
 *
 * @throws usageError where it is no run directory, was never evaluated, or holds a file that cannot be what it should be
 */
export async function readRun(dir: string): Promise<Run> {
  const path = join(dir, runFile.description);
  const text = await readText(path);
  if (text === undefined) {
    throw usageError("this is no run directory", {
      code: "not-a-run",
      where: dir,
      why: `it has no ${runFile.description}`,
      hint: "give the directory that mswitch pretrain wrote",
    });
  }
  const description = parse(runDescriptionSchema, text, path);
  const points = await readEvalPoints(dir);
  const { lines, damaged } = parseMetrics((await readText(join(dir, runFile.metrics))) ?? "");
  return {
    dir,
    description,
    metrics: lines,
    damagedMetrics: damaged,
    points,
    config: (await readText(join(dir, runFile.config))) ?? "",
    environment: (await readText(join(dir, runFile.environment))) ?? "",
  };
}

/** Whether the run has been evaluated at its last step. */
export function isFinished(run: Run): boolean {
  return run.points[run.points.length - 1].step >= run.description.totalSteps;
}

async function readEvalPoints(dir: string): Promise<EvalPoint[]> {
  const folder = join(dir, runFile.evalDirectory);
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^step-\d+\.json$/.test(name));
  if (names.length === 0) {
    throw usageError("the run has not been evaluated yet", {
      code: "run-not-evaluated",
      where: folder,
      why: "it holds no step-*.json",
      hint: "let mswitch pretrain reach its first evaluation, or run mswitch evaluate",
    });
  }
  const points: EvalPoint[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const point = parse(evalPointSchema, await readFile(path, "utf8"), path);
    checkPoint(point, path);
    points.push(point);
  }
  points.sort((a, b) => a.step - b.step);
  checkSameExamples(points, folder);
  return points;
}

/** Curves compare like with like only if every evaluation used the same examples. */
function checkSameExamples(points: EvalPoint[], folder: string): void {
  const examples = new Map<string, { step: number; tokens: string }>();
  for (const { step, languages } of points) {
    for (const [code, { exampleTokens }] of Object.entries(languages)) {
      const tokens = exampleTokens.join();
      const first = examples.get(code) ?? { step, tokens };
      examples.set(code, first);
      if (first.tokens === tokens) continue;
      throw usageError(`${code} was evaluated on other examples at step ${step} than at step ${first.step}`, {
        code: "run-evaluation-inconsistent",
        where: folder,
        hint: "delete the evaluations that do not belong to this run",
      });
    }
  }
}

function checkPoint({ languages }: EvalPoint, path: string): void {
  const entries = Object.entries(languages);
  if (entries.length === 0)
    throw usageError("the evaluation holds no language", { code: "run-evaluation-empty", where: path });
  for (const [code, { exampleLogProbs, exampleTokens }] of entries) {
    if (exampleLogProbs.length === 0 || exampleLogProbs.length !== exampleTokens.length) {
      throw usageError(`the examples of ${code} do not fit together`, {
        code: "run-evaluation-inconsistent",
        where: path,
        why: `${exampleLogProbs.length} log probabilities, ${exampleTokens.length} token counts`,
      });
    }
  }
}

function parse<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError("this is not JSON", { code: "run-file-invalid", where, why: messageOf(error), cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw usageError("this is not a file of a run", {
    code: "run-file-invalid",
    where,
    why: `${issue.path.join(".") || "the whole"}: ${issue.message}`,
    hint: "it was written by another version or changed by hand; run mswitch evaluate to write evaluations anew",
  });
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw usageError("the file cannot be read", {
      code: "run-file-unreadable",
      where: path,
      why: error.message,
      cause: error,
    });
  });
}
