import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCode as codes, MswitchError } from "../../base/errors.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import type { Log } from "../../base/log.js";
import { convertTask } from "../../corpus/tasks/convertTask.js";
import { lockRun, type RunLock } from "../../run/runLock.js";
import type { MadeDataset } from "../../study/studyFile.js";
import { runCommand } from "./runCommand.js";

/**
 * Makes a study's datasets, or what is missing of them, in its folder of datasets. One process at a time does so: another waits, and
 * finds them made. A line that was set aside is a warning here too.
 *
 * @throws MswitchError `study-dataset-failed` with the cause, or `interrupted`
 */
export async function makeDatasets(datasets: readonly MadeDataset[], log: Log, signal: AbortSignal): Promise<void> {
  if (datasets.length === 0) return;
  const folder = dirname(datasets[0].directory);
  makeDirectory(folder);
  const lock = await lockWhenFree(folder, log, signal);
  try {
    for (const dataset of datasets) await makeDataset(dataset, log, signal);
  } finally {
    await lock?.release();
  }
}

/** undefined where the signal was aborted first. */
async function lockWhenFree(folder: string, log: Log, signal: AbortSignal): Promise<RunLock | undefined> {
  for (let waited = false; !signal.aborted; waited = true) {
    try {
      return await lockRun(folder, log);
    } catch (error) {
      if (!(error instanceof MswitchError) || error.code !== "run-locked") throw error;
      if (!waited) log.info(`${folder}: another process makes the datasets; waiting for it`);
      await sleep(500, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

async function makeDataset(dataset: MadeDataset, log: Log, signal: AbortSignal): Promise<void> {
  const { name, directory, vocab, pairs, tasks, languages } = dataset;
  let { source } = dataset;
  if (typeof pairs === "string") {
    // As `mswitch tasks` does; the pairs lie beside the dataset.
    source = `${directory}-pairs`;
    await convertTask(pairs, dataset.source, source);
  }
  const args = ["preprocess", "--source", source, "--vocab", vocab, "--out", directory];
  if (pairs) args.push("--pairs");
  if (tasks) args.push("--tasks", tasks.join(","));
  if (languages) args.push("--languages", languages.join(","));
  const { exitCode, error } = signal.aborted
    ? { exitCode: null, error: undefined }
    : await runCommand(args, { name, threads: 1, log, signal });
  if (exitCode === codes.done || exitCode === codes.quarantined) return;
  throw new MswitchError(`the dataset ${name} could not be made`, {
    code: signal.aborted ? "interrupted" : "study-dataset-failed",
    where: directory,
    why: error?.message ?? `exit code ${exitCode}`,
    hint: "the same command goes on from here",
    exitCode: signal.aborted ? 130 : exitCode === codes.usage ? codes.usage : codes.failed,
  });
}
