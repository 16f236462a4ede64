import type { Backend } from "../../backends/loadBackend.js";
import { type ErrorDetails, MswitchError, messageOf, usageError } from "../../base/errors.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import { plural } from "../../base/format.js";
import type { Log } from "../../base/log.js";
import { meshText } from "../../distributed/mesh.js";
import type { World } from "../../distributed/world.js";
import { precisionNotice } from "../../model/precision.js";
import { describePlan } from "../../plan/planTraining.js";
import { type Checkpoint, readTrainSeconds } from "../../run/checkpoint.js";
import {
  clearLeftovers,
  cutBack,
  lastCheckpoint,
  recordEnvironment,
  teeLog,
  writeDescription,
} from "../../run/runDirectory.js";
import { lockRun, type RunLock } from "../../run/runLock.js";
import { type BranchSource, branchRun, requireBranchable } from "../checkpoint/branchRun.js";
import { identityHash } from "../config/runConfig.js";
import { describeRun, type PreparedRun } from "./prepareRun.js";
import { requireSameRun } from "./requireSameRun.js";

export interface EnteredRun {
  resumed: Checkpoint | undefined;
  startSeconds: number | undefined;
  /** `identityHash` of the run. */
  configuration: string;
  /** Also writes to the run's `log.txt`. */
  log: Log;
  /** Of rank 0; the others have none. */
  lock?: RunLock;
}

export interface EnterRunOptions {
  world: World;
  run: PreparedRun;
  backend: Backend;
  log: Log;
  /** Takes what is to be undone at the end. */
  cleanUp: (() => void | Promise<void>)[];
  /** What a run with a `branch` begins with. */
  source?: BranchSource;
}

/** What rank 0 found in the run's directory, for the others. */
interface Entrance {
  configuration: string;
  resumed?: Checkpoint;
  startSeconds?: number;
  /** Why rank 0 does not start. */
  refused?: { what: string; details: ErrorDetails };
}

/**
 * Rank 0 locks the directory and finds where the run stands; the others start from there too. Every rank must have been started with the same
 * configuration and data.
 */
export async function enterRun({ world, run, backend, log, cleanUp, source }: EnterRunOptions): Promise<EnteredRun> {
  const configuration = identityHash(run.config, describeRun(run, backend.name));
  let entered: EnteredRun = { resumed: undefined, startSeconds: 0, configuration, log };
  let entrance: Entrance = { configuration };
  let failure: unknown;
  if (world.rank === 0) {
    try {
      makeDirectory(run.paths.directory);
      const lock = await lockRun(run.paths.directory, log);
      cleanUp.push(() => lock.release());
      entered = { ...(await enterDirectory(run, backend, log, source)), lock };
      const { resumed, startSeconds } = entered;
      entrance = { configuration, resumed, startSeconds };
      if (world.size > 1) {
        const rows = run.config.stream.batchSize / world.batch.size;
        log.info(`  ${world.size} processes, mesh ${meshText(world.mesh)}, ${rows} rows each`);
      }
    } catch (error) {
      if (world.size === 1) throw error;
      failure = error;
      const known = error instanceof MswitchError;
      const details = known ? error.details : { code: "rank-failed", why: messageOf(error) };
      entrance = { configuration, refused: { what: known ? error.what : "rank 0 failed", details } };
    }
  }
  if (world.size === 1) return entered;
  const all = (await world.gather(JSON.stringify(entrance))).map((text) => JSON.parse(text) as Entrance);
  const [first] = all;
  if (failure) throw failure;
  if (first.refused) throw new MswitchError(first.refused.what, first.refused.details);
  const others = all.flatMap((one, rank) => (one.configuration === first.configuration ? [] : [rank]));
  if (others.length > 0) {
    throw usageError("the processes were started with different configurations or datasets", {
      code: "world-mismatch",
      where: `rank ${others.join(", ")}`,
      why: "the hash of its run file and of its dataset's content is not that of rank 0",
      hint: "start every rank with the same command, and give all of them the same dataset",
    });
  }
  return world.rank === 0 ? entered : { ...entered, resumed: first.resumed, startSeconds: first.startSeconds };
}

function describeTruncation(
  { pairs, examples, inputs, targets, rows }: NonNullable<PreparedRun["truncated"]>,
  lengths: { inputs: number; targets: number },
): string {
  const number = (value: number): string => value.toLocaleString("en-US");
  const packed = rows === undefined ? "" : ` packed in ${number(rows)} rows`;
  return `  ${number(pairs)} training pairs${packed}, ${number(examples)} of them cut: inputs of ${number(inputs)} to ${lengths.inputs} tokens, targets of ${number(targets)} to ${lengths.targets}`;
}

/** Finds where the run stands, brings its records back to there, and writes down who goes on with it. */
async function enterDirectory(
  run: PreparedRun,
  backend: Backend,
  userLog: Log,
  source: BranchSource | undefined,
): Promise<EnteredRun> {
  const { config, model, plan, paths } = run;
  const description = describeRun(run, backend.name);
  const configuration = identityHash(config, description);
  const before = await requireSameRun(paths, config, description);
  await clearLeftovers(paths);
  let resumed = await lastCheckpoint(paths, configuration, userLog);
  if (resumed && resumed.step > config.steps) {
    throw usageError(`the run is at step ${resumed.step} already, beyond steps: ${config.steps}`, {
      code: "run-beyond-steps",
      where: paths.directory,
    });
  }
  if (source && !resumed) await requireBranchable(source, model, config);
  // First of all files: a directory with others but without a config.yaml is taken for somebody else's.
  await writeDescription(paths, config, description);
  const log = teeLog(paths, userLog);
  if (config.branch && !resumed) {
    if (!source) {
      throw usageError("the run has lost the checkpoint that it began with", {
        code: "branch-incomplete",
        where: paths.checkpoints,
        hint: `Start it once more with --from-step ${config.branch.step} and the config.yaml of the run that it comes from.`,
      });
    }
    resumed = await branchRun(source, paths, description, { seed: config.seed, configuration });
  }
  const startStep = resumed?.step ?? 0;
  const loggedSeconds = await cutBack(paths, startStep, log);
  const startSeconds = resumed ? ((await readTrainSeconds(resumed)) ?? loggedSeconds) : 0;
  if (startSeconds === undefined) {
    log.warn(
      `${paths.directory}: the training time up to step ${startStep} is lost; speed-ups in time will be unknown`,
    );
  }
  const { threads } = backend;
  const processBefore = await recordEnvironment(paths, {
    ...{ backend: `${backend.name}: ${backend.description}`, threads, fromStep: startStep },
  });

  log.info(`run ${config.name} in ${paths.directory}`);
  for (const line of describePlan(plan, model, config.steps)) log.info(line);
  if (run.truncated) log.info(describeTruncation(run.truncated, run.stream.lengths));
  log.info(`  backend ${backend.name}: ${backend.description}`);
  const notice = precisionNotice(model, backend.name);
  if (notice) log.warn(notice);
  if (before && before.backend !== backend.name) {
    log.warn(
      `so far the run was computed on the ${before.backend} backend: from here on results agree but for rounding`,
    );
  }
  if (resumed && threads !== undefined && processBefore?.threads !== undefined && processBefore.threads !== threads) {
    log.warn(
      `so far the run was computed by ${plural(processBefore.threads, "thread")}, from here on by ${threads}: results agree but for rounding`,
    );
  }
  if (resumed) log.info(`going on from step ${startStep}: ${resumed.directory}`);
  return { resumed, startSeconds, configuration, log };
}
