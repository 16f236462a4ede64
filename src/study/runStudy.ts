import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { writeFileAtomic } from "../base/atomicFile.js";
import { MswitchError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { evaluationPath, readDescription, readEvaluations, runPaths } from "../run/runDirectory.js";
import { hasEnded } from "../train/checkpoint/bestEvaluation.js";
import { describeRun } from "../train/setup/prepareRun.js";
import { requireSameRun } from "../train/setup/requireSameRun.js";
import { allRuns, type Study, type StudyRun } from "./studyFile.js";
import { configOf, withRun } from "./studyPlan.js";

/** How a training ended: its exit code, and the error of its `--json` document. */
export interface TrainingEnd {
  exitCode: number;
  error?: { code: string; message: string };
}

export interface StudyOptions {
  /** This process does runs number `task`, `task + tasks`, … of the study. */
  task: number;
  tasks: number;
  /** Runs trained at the same time. */
  processes: number;
  log: Log;
  signal: AbortSignal;
  /** Trains a run in a process of its own, from its last checkpoint. */
  train(run: StudyRun): Promise<TrainingEnd>;
}

/** A run that diverged is a result: it is not trained again. Beside the run, since the run's directory is the trainer's. */
const divergedSchema = z.strictObject({ code: z.string(), message: z.string() });
export type Divergence = z.infer<typeof divergedSchema>;
const divergedPath = ({ directory }: StudyRun): string => `${directory}.diverged.json`;

export async function readDivergence(run: StudyRun): Promise<Divergence | undefined> {
  const path = divergedPath(run);
  return existsSync(path) ? divergedSchema.parse(JSON.parse(await readFile(path, "utf8"))) : undefined;
}

/**
 * Whether a run has been trained to its end, or has diverged.
 *
 * @throws usageError where its directory holds another run
 */
export async function isDone(run: StudyRun, log: Log): Promise<boolean> {
  if (await readDivergence(run)) return true;
  const paths = runPaths(run.directory);
  const there = await readDescription(paths.description);
  if (!there || !existsSync(paths.config)) return false;
  return withRun(await configOf(run), log, async (prepared) => {
    await requireSameRun(paths, prepared.config, describeRun(prepared, there.backend));
    const { steps, evaluation, branch } = prepared.config;
    if (prepared.examples.length === 0 || existsSync(evaluationPath(paths, steps))) return true;
    return evaluation.best !== undefined && hasEnded(await readEvaluations(paths), evaluation.best, branch);
  });
}

async function haveEnded(study: Study, directories: readonly string[], log: Log): Promise<boolean> {
  for (const run of allRuns(study)) {
    if (directories.includes(run.directory) && !(await isDone(run, log))) return false;
  }
  return true;
}

/**
 * Trains what is missing of this task's runs, several at a time. One that fails does not stop the others; one that another process
 * holds is waited for.
 *
 * @throws MswitchError where runs failed, or where the signal was aborted
 */
export async function runStudy(study: Study, options: StudyOptions): Promise<void> {
  const { task, tasks, processes, log, signal } = options;
  const waiting = allRuns(study).filter((_, i) => i % tasks === task);
  const total = waiting.length;
  const own = waiting.map(({ directory }) => directory);
  /** Runs of other tasks that were said to be waited for. */
  const told = new Set<string>();
  const failures: string[] = [];
  const failedRuns = new Set<string>();
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let run = waiting.shift(); run && !signal.aborted; run = waiting.shift()) {
      const title = `${run.variant}, seed ${run.seed}`;
      const failed = run.needs.find((directory) => failedRuns.has(directory));
      if (failed !== undefined) {
        failures.push(`${title}: ${failed} failed`);
        failedRuns.add(run.directory);
        continue;
      }
      if (!(await haveEnded(study, run.needs, log))) {
        // Another worker or task has it in hand.
        for (const directory of run.needs.filter((need) => !own.includes(need) && !told.has(need))) {
          log.info(`${title} waits for ${directory}, which is another task's`);
          told.add(directory);
        }
        waiting.push(run);
        await sleep(500, undefined, { signal }).catch(() => undefined);
        continue;
      }
      if (!(await isDone(run, log))) {
        const { exitCode, error } = await options.train(run);
        if (error?.code === "run-locked") {
          waiting.push(run);
          await sleep(500, undefined, { signal }).catch(() => undefined);
          continue;
        }
        if (error?.code === "loss-not-finite" || error?.code === "quality-not-finite") {
          await writeFileAtomic(divergedPath(run), `${JSON.stringify(error)}\n`);
          log.warn(`${title} diverged: ${error.message}`);
        } else if (exitCode !== 0 && !signal.aborted) {
          failedRuns.add(run.directory);
          failures.push(`${title}: ${error?.message ?? `exit code ${exitCode}`}`);
          log.warn(`failed: ${failures[failures.length - 1]}`);
          continue;
        }
        if (signal.aborted) return;
      }
      log.info(`${++done}/${total} done: ${title}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(processes, total) }, worker));
  if (signal.aborted) {
    throw new MswitchError("interrupted", {
      code: "interrupted",
      hint: "the same command goes on from here",
      exitCode: 130,
    });
  }
  if (failures.length > 0) {
    throw new MswitchError(`${failures.length} of ${total} runs failed`, {
      code: "study-runs-failed",
      where: study.out,
      why: failures.join("; "),
      hint: "the same command tries them again and keeps the others",
    });
  }
}
