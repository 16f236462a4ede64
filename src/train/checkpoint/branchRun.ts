import { copyFile, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory, writeFileAtomic } from "../../base/atomicFile.js";
import { formatCheckedLine } from "../../base/checkedLine.js";
import { usageError } from "../../base/errors.js";
import { makeDirectory } from "../../base/files/makeDirectory.js";
import { readModelConfig } from "../../model/checkpoint/huggingFace.js";
import type { ModelConfig } from "../../model/config.js";
import { parameterShapes } from "../../model/parameters.js";
import { type Checkpoint, readTrainSeconds, verifyCheckpoint, writeCheckpoint } from "../../run/checkpoint.js";
import { findCheckpoint } from "../../run/findCheckpoint.js";
import { evaluationPath, type RunPaths, readDescription, runPaths } from "../../run/runDirectory.js";
import { parseMetrics, type RunDescription, runFile } from "../../run/runFiles.js";
import { type RunConfig, readRunConfig } from "../config/runConfig.js";
import { requireSameShapes } from "./requireSameShapes.js";

/** A checkpoint of a run from which another run goes on. */
export interface BranchSource {
  paths: RunPaths;
  checkpoint: Checkpoint;
  /** Of the run that has it. */
  optimizer: RunConfig["optimizer"];
  /** For the new run's configuration. */
  branch: NonNullable<RunConfig["branch"]>;
}

/**
 * Finds the checkpoint that `--from-step` names.
 *
 * @param file the `config.yaml` of the run that has it
 * @param step a number, or `latest`
 * @throws usageError where the file is of no run or there is no such checkpoint; MswitchError for a damaged one
 */
export async function branchSource(file: string, step: string): Promise<BranchSource> {
  const { run, optimizer } = await readRunConfig(file);
  const paths = runPaths(run);
  if ((await readDescription(paths.description)) === undefined) {
    throw usageError("--from-step takes a run's own configuration", {
      code: "not-a-run",
      where: file,
      why: `${run} holds no ${runFile.description}`,
      hint: "mswitch pretrain RUN/config.yaml --from-step N --run NEW_RUN",
    });
  }
  const checkpoint = await findCheckpoint(paths, step);
  const { configuration } = await verifyCheckpoint(checkpoint);
  return { paths, checkpoint, optimizer, branch: { step: checkpoint.step, configuration } };
}

/**
 * Whether a run can go on with a checkpoint of another: asked before anything is written.
 *
 * @throws usageError where the model's shapes or the optimizer's moments are others
 */
export async function requireBranchable(
  { checkpoint: { directory }, optimizer }: BranchSource,
  model: ModelConfig,
  config: Pick<RunConfig, "optimizer">,
): Promise<void> {
  const { config: there } = await readModelConfig(directory);
  requireSameShapes(directory, new Map(parameterShapes(there)), new Map(parameterShapes(model)));
  const momentsOf = (of: RunConfig["optimizer"]): string =>
    of.algorithm === "adafactor" ? `adafactor, minFactoredSize ${of.minFactoredSize}` : of.algorithm;
  if (momentsOf(optimizer) === momentsOf(config.optimizer)) return;
  throw usageError("the checkpoint has the moments of another optimizer", {
    code: "optimizer-state-mismatch",
    where: directory,
    why: `they are of ${momentsOf(optimizer)}, the run has ${momentsOf(config.optimizer)}`,
    hint: "leave the optimizer as it is; init.from starts with these weights and fresh moments",
  });
}

/**
 * Fills a new run directory with what a run did up to a checkpoint: the checkpoint under the new run's hash, the metrics and, where the
 * validation examples are the same, the evaluations.
 *
 * @param state of the new run: its seed and `identityHash`
 */
export async function branchRun(
  source: BranchSource,
  paths: RunPaths,
  description: RunDescription,
  state: { seed: number; configuration: string },
): Promise<Checkpoint> {
  const { checkpoint } = source;
  const { step, directory } = checkpoint;
  const parent = await readDescription(source.paths.description);
  if (parent?.vocabulary !== description.vocabulary) {
    throw usageError("the dataset's vocabulary is not the one the run was trained with", {
      code: "vocabulary-run-mismatch",
      where: paths.directory,
      hint: "Take a dataset of the run's vocabulary.",
    });
  }
  const { lines } = parseMetrics(await readFile(source.paths.metrics, "utf8").catch(() => ""));
  const kept = lines.filter((line) => line.step <= step);
  await writeFileAtomic(paths.metrics, kept.map(formatCheckedLine).join(""));
  if (parent.evalExamples === description.evalExamples) {
    makeDirectory(paths.evaluations);
    for (const name of await readdir(source.paths.evaluations).catch(() => [])) {
      const at = Number(/^step-(\d+)\.json$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
      if (at <= step) {
        await writeFileAtomic(evaluationPath(paths, at), await readFile(join(source.paths.evaluations, name)));
      }
    }
  }
  // Last: with it the branch is complete.
  return writeCheckpoint(paths.checkpoints, { step, ...state }, await readTrainSeconds(checkpoint), async (folder) => {
    const written = new Set(["state.json", "complete.json", "clock.json"]);
    for (const name of await readdir(directory)) {
      if (!written.has(name)) await copyFile(join(directory, name), join(folder, name));
    }
    await syncDirectory(dirname(folder));
    return undefined;
  });
}
