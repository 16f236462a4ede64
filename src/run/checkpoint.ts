import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { isTemporaryName, syncDirectory, writeFileAtomic } from "../base/atomicFile.js";
import { formatCheckedLine, parseCheckedLine } from "../base/checkedLine.js";
import { MswitchError, messageOf } from "../base/errors.js";
import { runWriteError } from "../base/files/fileSystemError.js";
import { makeDirectory } from "../base/files/makeDirectory.js";
import { type FileContent, sha256File } from "../base/hash.js";

/** Written last: without it a folder is no checkpoint. */
const markerName = "complete.json";
const stateName = "state.json";
/**
 * Training seconds up to the checkpoint: the one thing in it that differs between two machines. It is left out of the marker, so that
 * all other files of two runs are the same bytes, and has a checksum of its own.
 */
const clockName = "clock.json";
/** The model card. It is left out of the marker too: an evaluation that is made later is added to it. */
export const cardName = "README.md";
/** The optimizer's moments, beside the model's own files. */
export const optimizerName = "optimizer.safetensors";

const count = z.int().nonnegative();

const markerSchema = z.strictObject({
  format: z.literal(1),
  files: z.record(z.string(), z.strictObject({ bytes: count, sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
});

/** `state.json`: all that a run needs besides weights and moments. Batches and noise are functions of seed and step. No clock. */
const stateSchema = z.strictObject({
  format: z.literal(1),
  /** Updates done. */
  step: count,
  seed: count,
  /** `identityHash` of the run. */
  configuration: z.string(),
});
export type CheckpointState = z.infer<typeof stateSchema>;

export interface Checkpoint {
  step: number;
  directory: string;
}

/** `step-00001000`. */
export function stepName(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

/** The complete checkpoints of a folder, by step. Unfinished ones and those without a marker are left out. */
export async function listCheckpoints(folder: string): Promise<Checkpoint[]> {
  const names = await readdir(folder).catch(() => []);
  const found: Checkpoint[] = [];
  for (const name of names) {
    const step = /^step-(\d{8,})$/.exec(name)?.[1];
    const directory = join(folder, name);
    if (step !== undefined && (await exists(join(directory, markerName))))
      found.push({ step: Number(step), directory });
  }
  return found.sort((a, b) => a.step - b.step);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Writes a checkpoint: `write` puts the model's and the optimizer's files into a temporary folder, each durably; the state follows,
 * then the training seconds, then the marker with the hash of every file but these and the model card, and the folder is renamed into place. Whatever happens on the way, `folder` holds a whole
 * checkpoint of that step or none.
 *
 * @param write may give what files hold, by name: they are not read again
 * @throws MswitchError where the disk is full or fails; older checkpoints are not touched
 */
export async function writeCheckpoint(
  folder: string,
  state: Omit<CheckpointState, "format">,
  trainSeconds: number | undefined,
  write: (directory: string) => Promise<ReadonlyMap<string, FileContent> | undefined>,
): Promise<Checkpoint> {
  const temporary = temporaryPath(folder, state.step);
  const directory = join(folder, stepName(state.step));
  try {
    makeDirectory(temporary);
    const known = await write(temporary);
    await writeJson(join(temporary, stateName), { format: 1, ...state } satisfies CheckpointState);
    const files: z.infer<typeof markerSchema>["files"] = {};
    for (const file of (await readdir(temporary)).sort()) {
      if (file === cardName) continue;
      const path = join(temporary, file);
      files[file] = known?.get(file) ?? { bytes: (await stat(path)).size, sha256: await sha256File(path) };
    }
    if (trainSeconds !== undefined) {
      await writeFileAtomic(join(temporary, clockName), formatCheckedLine({ trainSeconds }));
    }
    await writeJson(join(temporary, markerName), { format: 1, files });
    // A folder of that name is an incomplete one (its marker is gone): complete ones are gone on from, never written again.
    await rm(directory, { recursive: true, force: true });
    await rename(temporary, directory);
    await syncDirectory(folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw runWriteError(error, `the checkpoint of step ${state.step} could not be written`, folder);
  }
  return { step: state.step, directory };
}

function temporaryPath(folder: string, step: number): string {
  return join(folder, `.${stepName(step)}.tmp-${randomBytes(6).toString("hex")}`);
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Reads a checkpoint's state after comparing every file with the marker's size and hash.
 *
 * @throws MswitchError naming the file that is missing or changed
 */
export async function verifyCheckpoint({ step, directory }: Checkpoint): Promise<CheckpointState> {
  const hint = `Restore it, or remove ${directory} to go on from the checkpoint before it.`;
  const damaged = (file: string, why: string): MswitchError =>
    new MswitchError("the checkpoint is damaged", {
      code: "checkpoint-damaged",
      where: join(directory, file),
      why,
      hint,
    });
  const marker = await readJson(directory, markerName, markerSchema, damaged);
  for (const [file, expected] of Object.entries(marker.files)) {
    const path = join(directory, file);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw damaged(file, "the file is missing");
    if (found.size !== expected.bytes)
      throw damaged(file, `it has ${found.size} bytes, ${expected.bytes} were written`);
    if ((await sha256File(path)) !== expected.sha256) throw damaged(file, "its bytes are not those that were written");
  }
  if (!(stateName in marker.files)) throw damaged(markerName, `it does not list ${stateName}`);
  const state = await readJson(directory, stateName, stateSchema, damaged);
  if (state.step !== step) throw damaged(stateName, `it is of step ${state.step}`);
  return state;
}

/** Training seconds up to a checkpoint; undefined where they were not known or the file is damaged. */
export async function readTrainSeconds({ directory }: Checkpoint): Promise<number | undefined> {
  const text = await readFile(join(directory, clockName), "utf8").catch(() => "");
  const clock = z.object({ trainSeconds: z.number().nonnegative() }).safeParse(parseCheckedLine(text.trimEnd()));
  return clock.data?.trainSeconds;
}

async function readJson<T>(
  directory: string,
  file: string,
  schema: z.ZodType<T>,
  damaged: (file: string, why: string) => MswitchError,
): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(join(directory, file), "utf8")));
  } catch (error) {
    throw damaged(file, error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error));
  }
}

/** Removes all but the last `keepLast` checkpoints, those at multiples of `keepEvery`, and that of step `keep`. */
export async function pruneCheckpoints(
  folder: string,
  { keepLast, keepEvery, keep }: { keepLast: number; keepEvery?: number; keep?: number },
): Promise<void> {
  const checkpoints = await listCheckpoints(folder);
  for (const { step, directory } of checkpoints.slice(0, -keepLast)) {
    if (step === keep || (keepEvery !== undefined && step % keepEvery === 0)) continue;
    // Killed on the way, this leaves an unfinished folder and not half a checkpoint.
    const condemned = temporaryPath(folder, step);
    await rename(directory, condemned);
    await rm(condemned, { recursive: true });
  }
}

/** Removes what killed writers left. For the one process that holds the run directory (`lockRun`), before it writes itself. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (isTemporaryName(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
