import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomicFile.js";
import { usageError } from "../base/errors.js";
import { runWriteError } from "../base/files/fileSystemError.js";
import { parseDuration } from "../base/format.js";
import { openDataset } from "../dataset/read/openDataset.js";
import { isWhole } from "../distributed/placement.js";
import type { World } from "../distributed/world.js";
import { evaluateModel } from "../eval/evaluateModel.js";
import { modelTitle } from "../plan/planTraining.js";
import { evaluationPath, lastEvaluation, readEvaluations } from "../run/runDirectory.js";
import { commandOf, runFile, type TrainingCommand } from "../run/runFiles.js";
import { bestEvaluation, hasEnded, meanMetric } from "./checkpoint/bestEvaluation.js";
import { branchSource } from "./checkpoint/branchRun.js";
import { type RunConfig, type RunConfigOverrides, readRunConfig } from "./config/runConfig.js";
import { train } from "./loop.js";
import { type EvaluationSummary, summarizeEvaluation } from "./metricsWriter.js";
import { openSession, type Session, type SessionOptions } from "./session.js";
import { type PreparedRun, prepareRun } from "./setup/prepareRun.js";
import type { StepTraffic } from "./stepTraffic.js";

export interface PretrainOptions extends Omit<RunConfigOverrides, "branch">, Omit<SessionOptions, "source"> {
  /** A new run goes on from this checkpoint, a step or `latest`, of the run whose `config.yaml` the file is. */
  fromStep?: string;
  /** Takes the files that `commandOf` says; `pretrain` where left out. */
  command?: TrainingCommand;
}

export interface PretrainResult {
  /** Of this process among those of the run. */
  rank: number;
  /** Run directory. */
  run: string;
  name: string;
  model: string;
  parameters: number;
  /** Updates done, of `steps`. */
  step: number;
  steps: number;
  /** Stopped by a signal: the same command goes on. */
  interrupted: boolean;
  /** Folder of the last complete checkpoint. */
  checkpoint: string | null;
  evaluation: EvaluationSummary | null;
  /** Of several processes: bytes that this rank gave to collectives in its first step. */
  traffic?: readonly StepTraffic[];
  /** The best evaluation by the metric that the file names, whose checkpoint is kept; null where it names none. */
  best: { step: number; metric: string; value: number } | null;
}

/**
 * Trains what a run's file describes, from the start or from the last complete checkpoint in its run directory, to the end
 * or to a signal.
 *
 * @throws usageError for anything wrong with configuration, dataset or run directory, before any work; MswitchError for a
 *   damaged checkpoint, divergence, or a disk that fails
 */
export async function pretrain(file: string, options: PretrainOptions): Promise<PretrainResult> {
  const source = options.fromStep === undefined ? undefined : await branchSource(file, options.fromStep);
  const config = await readRunConfig(file, source ? { ...options, branch: source.branch } : options);
  if (source && config.run === source.paths.directory) {
    throw usageError("a run cannot go on from an earlier step in its own directory", {
      code: "run-directory-in-use",
      where: config.run,
      hint: "Give the new run a directory of its own with --run.",
    });
  }
  requireCommand(config, file, options.command ?? "pretrain");
  const dataset = await openDataset(config.dataset);
  try {
    const signal = withTimeLimit(config.stopAfter, options);
    return await trainOn(await prepareRun(config, dataset, options.log), { ...options, signal, source });
  } catch (error) {
    throw runWriteError(error, "the run directory cannot be written", config.run);
  } finally {
    dataset.close();
  }
}

function requireCommand(config: RunConfig, file: string, command: TrainingCommand): void {
  const right = commandOf(config);
  if (right === command) return;
  const objective = `the file's objective is ${config.objective ?? "span-corruption"}`;
  throw usageError(
    config.teacher ? "the file has a teacher" : command === "distill" ? "the file has no teacher" : objective,
    {
      code: "objective-command-mismatch",
      where: file,
      hint: {
        pretrain: `mswitch pretrain ${file}, or ${command === "distill" ? "teacher: {from: DIR}" : "objective: pairs"} in the file`,
        finetune: `mswitch finetune ${file}${command === "distill" ? ", or teacher: {from: DIR} in the file" : ""}`,
        distill: `mswitch distill ${file}`,
      }[right],
    },
  );
}

/** Measures a run's teacher on the run's own examples, once: what the student's gain is a share of. */
async function evaluateTeacher(
  { examples, paths, loadedTeacher, world, log }: Session,
  signal: AbortSignal,
): Promise<void> {
  const path = join(paths.directory, runFile.teacher);
  if (!loadedTeacher || world.rank > 0 || examples.length === 0 || existsSync(path)) return;
  try {
    const point = await evaluateModel(loadedTeacher.config, loadedTeacher.params, examples, 0, { signal });
    await writeFileAtomic(path, `${JSON.stringify(point)}\n`);
    log.info(`the teacher: nlp ${summarizeEvaluation(point).mean.toFixed(4)}`);
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  }
}

/**
 * Whether this process has nothing to evaluate. Where every rank has the whole model, rank 0 evaluates and the others wait for it in the next
 * step. Ranks that hold parts of one evaluate together: all of them learn what rank 0 finds, and whether one was asked to stop.
 */
async function evaluationIsDone(world: World, isDone: () => boolean, signal: AbortSignal): Promise<boolean> {
  if (world.size === 1) return isDone();
  if (isWhole(world.mesh)) return world.rank > 0 || signal.aborted || isDone();
  const answers = await world.gather(signal.aborted || (world.rank === 0 && isDone()) ? "done" : "");
  return world.at.data > 0 || answers.includes("done");
}

/** A signal that is aborted where `signal` is, or when the run's `stopAfter` is over. */
function withTimeLimit(stopAfter: string | undefined, { signal, log }: PretrainOptions): AbortSignal {
  if (stopAfter === undefined) return signal;
  const controller = new AbortController();
  const stop = (): void => controller.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const limit = (): void => {
    if (!controller.signal.aborted) log.info(`stopping: ${stopAfter} are over; the same command goes on`);
    controller.abort(new Error("stopAfter"));
  };
  setTimeout(limit, 1000 * parseDuration(stopAfter)!).unref();
  return controller.signal;
}

async function trainOn(run: PreparedRun, options: SessionOptions): Promise<PretrainResult> {
  const { config, model, examples, plan, paths } = run;
  const { best } = config.evaluation;
  const session = await openSession(run, options);
  try {
    if (best?.patience !== undefined && session.world.size > 1) {
      throw usageError("a run of several processes cannot end early", {
        code: "early-stop-distributed",
        where: "evaluation.best.patience",
        why: "one process evaluates, and the others would not know",
        hint: "leave patience out: the best checkpoint is kept all the same",
      });
    }
    await evaluateTeacher(session, options.signal);
    const points = await readEvaluations(paths);
    const isEvaluated = (at: number): boolean => examples.length === 0 || existsSync(evaluationPath(paths, at));
    const step = await train({
      ...session,
      signal: options.signal,
      isShared: session.world.size > 1,
      isEvaluated: (at) => evaluationIsDone(session.world, () => isEvaluated(at), options.signal),
      async evaluate(at) {
        const point = await evaluateModel(model, session.params, examples, at, {
          signal: options.signal,
          withMatches: config.objective === "pairs",
          groups: isWhole(session.world.mesh) ? undefined : session.world,
        });
        // What no evaluation measures is told by the first one, before any training.
        if (best) meanMetric(point, best.metric);
        points.push(point);
        return point;
      },
      hasEnded: () => best !== undefined && hasEnded(points, best, config.branch),
    });
    const isDone = step === config.steps || (best !== undefined && hasEnded(points, best, config.branch));
    const top = best && bestEvaluation(points, best, config.branch);
    const point = await lastEvaluation(paths);
    return {
      ...{
        rank: session.world.rank,
        run: paths.directory,
        name: config.name,
        model: modelTitle(model),
        parameters: plan.parameters,
      },
      ...{ step, steps: config.steps, interrupted: !isDone || !isEvaluated(step) },
      best: top ? { ...top, metric: best.metric } : null,
      checkpoint: session.checkpoint,
      ...(session.traffic.length > 0 ? { traffic: session.traffic } : {}),
      evaluation: point ? summarizeEvaluation(point) : null,
    };
  } finally {
    await session.close();
  }
}
