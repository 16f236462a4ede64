import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { messageOf, usageError } from "../../base/errors.js";
import { requireWritableFolder } from "../../base/files/makeDirectory.js";
import type { Split } from "../shards/shard.js";
import { type Pair, type TaskFormat, type TaskName, taskFormats } from "./taskFormats.js";

/** A file of a task is a few megabytes; one beyond this is another file. */
const maxBytes = 256 * 2 ** 20;

export interface ConvertedTask {
  task: TaskName;
  /** Number of pairs by language and split. */
  languages: Record<string, Partial<Record<Split, number>>>;
  /** Files in the folder that are none of the task's. */
  passedOver: string[];
}

/**
 * Writes a published task as text-to-text pairs, `OUT/TASK/LANGUAGE/{train,validation,test}.jsonl.gz`, for `mswitch preprocess --pairs`.
 *
 * @param from folder with the task's files as they are published, packed by gzip or not
 * @throws usageError where the folder holds none of the task's files, or a line is not as the task has them
 */
export async function convertTask(task: TaskName, from: string, out: string): Promise<ConvertedTask> {
  const format: TaskFormat = taskFormats[task];
  const names = await readdir(from).catch((error: NodeJS.ErrnoException) => {
    throw usageError("the task's folder cannot be read", { code: "task-unreadable", where: from, why: error.message });
  });
  const found = new Map<string, Partial<Record<Split, Pair[]>>>();
  const passedOver: string[] = [];
  for (const name of names.sort()) {
    const file = format.fileOf(name.replace(/\.gz$/, ""));
    if (!file) {
      passedOver.push(name);
      continue;
    }
    const { language, split } = file;
    const splits = found.get(language) ?? {};
    found.set(language, splits);
    const lines = await linesOf(join(from, name));
    for (const [i, line] of lines.entries()) {
      const pairs = pairsOf(format, line, `${join(from, name)}:${i + 1}`);
      const to =
        format.splitOf?.(split, i, lines.length) ?? (split === "train" || split === "test" ? split : "validation");
      splits[to] = [
        ...(splits[to] ?? []),
        ...pairs.map((pair) => (pair.targets === "" ? { ...pair, targets: language } : pair)),
      ];
    }
  }
  if (found.size === 0) {
    throw usageError(`the folder holds no file of ${task}`, {
      code: "task-unreadable",
      where: from,
      why: `it has ${names.slice(0, 5).join(", ") || "no file"}`,
      hint: "docs/fine-tuning.md says how the task's files are named",
    });
  }
  const converted: ConvertedTask = { task, languages: {}, passedOver };
  for (const [language, splits] of found) {
    const directory = join(out, task, language);
    requireWritableFolder(directory, "the task");
    converted.languages[language] = {};
    for (const [split, pairs] of Object.entries(splits)) {
      const text = pairs.map((pair) => `${JSON.stringify(pair)}\n`).join("");
      await writeFileAtomic(join(directory, `${split}.jsonl.gz`), gzipSync(text, { level: 9 }));
      converted.languages[language][split as Split] = pairs.length;
    }
  }
  return converted;
}

async function linesOf(path: string): Promise<string[]> {
  const packed = await readFile(path);
  const bytes = path.endsWith(".gz") ? gunzipSync(packed, { maxOutputLength: maxBytes }) : packed;
  return bytes
    .toString("utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
}

function pairsOf(format: TaskFormat, line: string, where: string): Pair[] {
  try {
    return format.pairsOf(line);
  } catch (error) {
    throw usageError("a line of the task cannot be read", { code: "task-invalid", where, why: messageOf(error) });
  }
}
