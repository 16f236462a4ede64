import { usageError } from "../base/errors.js";
import { type Checkpoint, listCheckpoints } from "./checkpoint.js";
import type { RunPaths } from "./runDirectory.js";

/**
 * A complete checkpoint of a run by its step, or the `latest`.
 *
 * @throws usageError where there is none such, with those that there are
 */
export async function findCheckpoint({ checkpoints }: RunPaths, wanted: string): Promise<Checkpoint> {
  const complete = await listCheckpoints(checkpoints);
  if (complete.length === 0) {
    throw usageError("the run has no complete checkpoint", {
      code: "checkpoint-not-found",
      where: checkpoints,
      hint: "let mswitch pretrain reach its first one",
    });
  }
  const steps = complete.map(({ step }) => step);
  const found = wanted === "latest" ? complete[complete.length - 1] : complete.find(({ step }) => `${step}` === wanted);
  if (found) return found;
  throw usageError(`the run has no checkpoint ${wanted}`, {
    code: "checkpoint-not-found",
    where: checkpoints,
    why: `it has those of step ${steps.join(", ")}`,
    hint: `take ${steps[steps.length - 1]} or latest`,
  });
}
