import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { isTemporaryName } from "../../base/atomicFile.js";
import { usageError } from "../../base/errors.js";
import { type RunPaths, readDescription } from "../../run/runDirectory.js";
import type { RunDescription } from "../../run/runFiles.js";
import { lockName } from "../../run/runLock.js";
import { readConfig } from "../config/readConfig.js";
import { identityOf, type RunConfig, runConfigSchema } from "../config/runConfig.js";

/**
 * Refuses a directory that holds anything but this run: files that are no run, a run of another configuration (naming the keys
 * that differ; see `identityOf` for those that may), or of other data.
 *
 * @returns how the run was described so far; undefined where it is new
 */
export async function requireSameRun(
  paths: RunPaths,
  config: RunConfig,
  description: RunDescription,
): Promise<RunDescription | undefined> {
  if (!existsSync(paths.config)) {
    const names = await readdir(paths.directory).catch(() => []);
    const foreign = names.find((name) => !isTemporaryName(name) && name !== lockName);
    if (foreign === undefined) return undefined;
    throw usageError("the run directory is not empty and holds no run", {
      code: "run-directory-in-use",
      where: paths.directory,
      why: `it holds ${foreign} and no config.yaml`,
      hint: "Choose another directory with --run.",
    });
  }
  const hint = "Choose another directory with --run, or go on with the values it has.";
  const there = identityOf({ ...(await readConfig(runConfigSchema, paths.config)), name: "" });
  const here = identityOf(config);
  const differing = [...new Set([...there.keys(), ...here.keys()])]
    .filter((key) => there.get(key) !== here.get(key))
    .map((key) => `${key} is ${there.get(key) ?? "not set"} there, ${here.get(key) ?? "not set"} here`);
  if (differing.length > 0) {
    throw usageError("the run directory holds another run", {
      code: "run-mismatch",
      where: paths.config,
      why: differing.join("; "),
      hint,
    });
  }
  const known = await readDescription(paths.description);
  const changed = (["vocabulary", "dataset", "evalExamples"] as const).filter(
    (key) => known !== undefined && known[key] !== description[key],
  );
  if (changed.length > 0) {
    throw usageError("the dataset is not the one that the run began with", {
      code: "dataset-run-mismatch",
      where: config.dataset,
      why: `by hash its ${changed.join(", ").replace("evalExamples", "validation examples")} changed since ${paths.description} was written`,
      hint: "Choose another run directory with --run, or give back the dataset it began with.",
    });
  }
  return known;
}
