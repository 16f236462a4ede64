import { unlinkSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isTemporaryName, putInPlace, syncDirectory, writeFileAtomic } from "../../base/atomicFile.js";
import type { Shard } from "../../corpus/shards/shard.js";
import { type ShardRecord, shardRecordSchema } from "./manifest.js";

/** Rejections listed in a shard's record; all of them are counted. */
export const maxListedRejections = 1000;

/** The options that decide a shard's output, as they stand in its record. */
export function recordedOptions(
  { textField, pairs, holdOut }: Pick<Shard, "textField" | "pairs" | "holdOut">,
  { maxLineBytes }: { maxLineBytes: number },
): ShardRecord["options"] {
  const options: ShardRecord["options"] = { maxLineBytes };
  if (textField !== undefined) options.textField = textField;
  if (pairs) {
    options.inputsField = pairs.inputs;
    options.targetsField = pairs.targets;
  }
  if (holdOut) options.validationEvery = holdOut.every;
  return options;
}

/** Whether a shard's rows are text-to-text pairs. */
export function holdsPairs({ options }: Pick<ShardRecord, "options">): boolean {
  return options.targetsField !== undefined;
}

/** Folder of the records inside a dataset's. */
export const recordFolder = ".records";

/** A shard's record without its list of rejections, which may be long. */
export type KnownShard = Omit<ShardRecord, "rejections">;

/** What names a shard within a dataset. */
export type ShardKey = Pick<Shard, "language" | "split" | "index" | "count">;

function stem({ language, split, index, count }: ShardKey): string {
  const number = (value: number): string => String(value).padStart(5, "0");
  return `${language}/${split}-${number(index)}-of-${number(count)}`;
}

/** Name of a shard's Arrow file, relative to the dataset's folder: `af/train-00000-of-00002.arrow`. */
export function tokenFileName(shard: ShardKey): string {
  return `${stem(shard)}.arrow`;
}

/** Path of a shard's record. */
export function recordPath(out: string, shard: ShardKey): string {
  return join(out, recordFolder, `${stem(shard)}.json`);
}

/** Name of the record of a token file, relative to the dataset's folder. */
export function recordFile(tokenFile: string): string {
  return join(recordFolder, tokenFile.replace(/\.arrow$/, ".json"));
}

/** Reads a record, or undefined where there is none that can be read: such a shard is not done. */
export async function readRecord(path: string): Promise<ShardRecord | undefined> {
  try {
    return shardRecordSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/**
 * Takes a shard that was tokenized into the dataset: its Arrow file first, then its record. Whatever happens on the way, either both
 * stand and agree, or there is no record.
 *
 * @param temporary the Arrow file, written whole but perhaps not to the disk yet
 */
export async function commitShard(out: string, record: ShardRecord, temporary: string): Promise<void> {
  await removeRecord(recordPath(out, record));
  await putInPlace(temporary, join(out, record.output.file));
  await writeFileAtomic(recordPath(out, record), `${JSON.stringify(record)}\n`);
}

/** Marks a shard as not done, durably, before its Arrow file is replaced. */
async function removeRecord(path: string): Promise<void> {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Paths of the records of a dataset, by language, split and index. */
export async function listRecords(out: string): Promise<string[]> {
  const paths: string[] = [];
  const entries = await readdir(join(out, recordFolder), { withFileTypes: true }).catch(() => []);
  const languages = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const language of languages.sort()) {
    const names = await readdir(join(out, recordFolder, language));
    const whole = names.filter((name) => name.endsWith(".json") && !isTemporaryName(name));
    for (const name of whole.sort()) paths.push(join(out, recordFolder, language, name));
  }
  return paths;
}

/** Names of the Arrow files that lie in a dataset's folder, listed or not, relative to it. */
export async function listTokenFiles(out: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(out, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    for (const name of await readdir(join(out, entry.name))) {
      if (name.endsWith(".arrow") && !isTemporaryName(name)) files.push(`${entry.name}/${name}`);
    }
  }
  return files.sort();
}
