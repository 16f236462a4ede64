import { appendFileSync, existsSync } from "node:fs";
import { open, readdir, readFile, rm } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type * as z from "zod";
import { isTemporaryName, writeFileAtomic } from "../base/atomicFile.js";
import { formatCheckedLine } from "../base/checkedLine.js";
import { MswitchError, messageOf, usageError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { type Checkpoint, listCheckpoints, removeUnfinished, verifyCheckpoint } from "./checkpoint.js";
import {
  commandOf,
  type EvalPoint,
  evalPointSchema,
  type MetricsLine,
  parseMetrics,
  type RunDescription,
  runDescriptionSchema,
  runFile,
} from "./runFiles.js";

/** Where the parts of a run lie. */
export interface RunPaths {
  directory: string;
  config: string;
  description: string;
  environment: string;
  log: string;
  metrics: string;
  tensorboard: string;
  checkpoints: string;
  evaluations: string;
}

export function runPaths(directory: string): RunPaths {
  return {
    directory,
    config: join(directory, runFile.config),
    description: join(directory, runFile.description),
    environment: join(directory, runFile.environment),
    log: join(directory, "log.txt"),
    metrics: join(directory, runFile.metrics),
    tensorboard: join(directory, "tensorboard"),
    checkpoints: join(directory, "checkpoints"),
    evaluations: join(directory, runFile.evalDirectory),
  };
}

export function evaluationPath(paths: RunPaths, step: number): string {
  return join(paths.directory, runFile.evalPoint(step));
}

/** `run.json`; undefined where there is none yet. */
export async function readDescription(path: string): Promise<RunDescription | undefined> {
  return existsSync(path) ? readRunFile(path, runDescriptionSchema, "the run's description") : undefined;
}

/**
 * A JSON file of a run.
 *
 * @param what the file is, for the error
 * @throws MswitchError where it cannot be read or does not fit the schema
 */
export async function readRunFile<T>(path: string, schema: z.ZodType<T>, what: string, hint?: string): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new MswitchError(`${what} cannot be read`, {
      code: "run-file-unreadable",
      where: path,
      why: messageOf(error),
      hint,
      cause: error,
    });
  }
}

/**
 * The last complete checkpoint of a run, every file checked; undefined where there is none yet.
 *
 * @param configuration the run's `identityHash`
 */
export async function lastCheckpoint(
  paths: RunPaths,
  configuration: string,
  log: Log,
): Promise<Checkpoint | undefined> {
  const complete = await listCheckpoints(paths.checkpoints);
  const names = await readdir(paths.checkpoints).catch(() => []);
  for (const name of names.filter((name) => !isTemporaryName(name))) {
    if (complete.some(({ directory }) => directory.endsWith(name))) continue;
    log.warn(`${join(paths.checkpoints, name)}: passed over, it has no complete.json and so is no complete checkpoint`);
  }
  const last = complete.at(-1);
  if (last === undefined) return undefined;
  const state = await verifyCheckpoint(last);
  if (state.configuration !== configuration) {
    throw usageError("the checkpoint is of another run", {
      code: "checkpoint-run-mismatch",
      where: last.directory,
      why: "the hash of configuration and data in its state.json is not this run's",
    });
  }
  return last;
}

/** Removes what killed processes left half-written. */
export async function clearLeftovers(paths: RunPaths): Promise<void> {
  for (const folder of [paths.directory, paths.evaluations, paths.checkpoints]) await removeUnfinished(folder);
}

/**
 * Brings the run's records back to a checkpoint: lines and evaluations of later steps belong to a process that was killed, and
 * are done again. Damaged lines are left out with a warning.
 *
 * @returns training seconds up to there by the line of that step; undefined where there is none
 */
export async function cutBack(paths: RunPaths, step: number, log: Log): Promise<number | undefined> {
  const text = existsSync(paths.metrics) ? await readFile(paths.metrics, "utf8") : "";
  const { lines, damaged } = parseMetrics(text);
  if (damaged.length > 0) {
    const which = damaged.length > 5 ? `${damaged.slice(0, 5).join(", ")}, …` : damaged.join(", ");
    log.warn(`${paths.metrics}: ${damaged.length} damaged lines left out (${which}); times between them are unknown`);
  }
  const kept = lines.filter((line) => line.step <= step);
  await writeFileAtomic(paths.metrics, kept.map(formatCheckedLine).join(""));
  for (const name of await readdir(paths.evaluations).catch(() => [])) {
    if (Number(/^step-(\d+)\.json$/.exec(name)?.[1] ?? -1) > step) await rm(join(paths.evaluations, name));
  }
  return kept.findLast((line) => line.step === step)?.trainSeconds;
}

/** Writes what describes the run, before its first step. */
export async function writeDescription(paths: RunPaths, config: object, description: RunDescription): Promise<void> {
  const head = `# The resolved configuration of this run: \`mswitch ${commandOf(config)}\` on this file goes on with it.\n`;
  await writeFileAtomic(paths.config, head + stringify(config));
  await writeFileAtomic(paths.description, `${JSON.stringify(description, null, 2)}\n`);
}

/** What `environment.json` says of a process; other keys are for readers. */
interface EnvironmentEntry {
  backend: string;
  /** Of one operation; absent where the backend does not say. */
  threads?: number;
  fromStep: number;
}

/**
 * Adds this process to `environment.json`: one entry for each process that worked on the run.
 *
 * @returns the entry of the process before
 */
export async function recordEnvironment(
  paths: RunPaths,
  process_: EnvironmentEntry,
): Promise<Partial<EnvironmentEntry> | undefined> {
  const known: unknown = await readFile(paths.environment, "utf8")
    .then(JSON.parse)
    .catch(() => []);
  const entry = {
    started: new Date().toISOString(),
    ...process_,
    node: process.version,
    os: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
  };
  const entries: unknown[] = Array.isArray(known) ? known : [];
  await writeFileAtomic(paths.environment, `${JSON.stringify([...entries, entry], null, 2)}\n`);
  return entries.at(-1) as Partial<EnvironmentEntry> | undefined;
}

/** Also writes every message to `log.txt`. */
export function teeLog(paths: RunPaths, log: Log): Log {
  const keep = (message: string): void => appendFileSync(paths.log, `${new Date().toISOString()} ${message}\n`);
  return {
    info(message, brief) {
      keep(message);
      log.info(message, brief);
    },
    warn(message) {
      keep(`warning: ${message}`);
      log.warn(message);
    },
  };
}

/** Adds a line to `metrics.jsonl`, and waits for the disk: times that are lost cannot be measured again. */
export async function appendMetrics(paths: RunPaths, line: MetricsLine): Promise<void> {
  const file = await open(paths.metrics, "a");
  try {
    await file.appendFile(formatCheckedLine(line));
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Writes `eval/step-*.json`. */
export async function writeEvaluation(paths: RunPaths, point: EvalPoint): Promise<void> {
  await writeFileAtomic(evaluationPath(paths, point.step), `${JSON.stringify(point)}\n`);
}

/** The evaluation of the latest step; undefined where there is none. */
export async function lastEvaluation(paths: RunPaths): Promise<EvalPoint | undefined> {
  const last = (await evaluationNames(paths)).at(-1);
  return last === undefined ? undefined : readEvaluation(paths, last);
}

/** All evaluations of a run, by step. */
export async function readEvaluations(paths: RunPaths): Promise<EvalPoint[]> {
  return Promise.all((await evaluationNames(paths)).map((name) => readEvaluation(paths, name)));
}

async function evaluationNames({ evaluations }: RunPaths): Promise<string[]> {
  const names = await readdir(evaluations).catch(() => []);
  return names.filter((name) => /^step-\d+\.json$/.test(name)).sort();
}

async function readEvaluation({ evaluations }: RunPaths, name: string): Promise<EvalPoint> {
  const hint =
    "delete it; mswitch evaluate with --checkpoint makes it again, where the checkpoint of that step is still there";
  return readRunFile(join(evaluations, name), evalPointSchema, "the evaluation", hint);
}
