import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { usageError } from "../../base/errors.js";
import { type Log, silentLog } from "../../base/log.js";
import { formatOf } from "../read/format.js";
import { describePassedOver } from "./describeGaps.js";
import { findLanguage } from "./languages.js";
import { type PairFields, type Shard, type Split, splits } from "./shard.js";

export interface DiscoverPairsOptions {
  /** Codes to take; all that are there where absent. */
  languages?: readonly string[];
  splits?: readonly Split[];
  tasks?: readonly string[];
  /** Where a line holds inputs and targets. */
  fields: PairFields;
  /** Is told what was passed over. */
  log?: Log;
}

/** Fields of a pair where none are named: those of T5's own tasks. */
export const defaultPairFields: PairFields = { inputs: "inputs", targets: "targets" };

const layout = "TASK/LANGUAGE/{train,validation,test}.jsonl (or .csv, .tsv, .parquet; .gz or .zst)";
const taskName = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;
const fileName = /^(train|validation|test)(?:-(\d{5})-of-(\d{5}))?\.[a-z]+(?:\.gz|\.zst)?$/;

/**
 * A task in a language as datasets name it: `numbers.af`. Neither part holds a dot.
 */
export function taskLanguage(task: string, language: string): string {
  return `${task}.${language}`;
}

/** The task and the language of a name that `taskLanguage` made; of any other name the language alone. */
export function splitTaskLanguage(name: string): { task: string | undefined; language: string } {
  const dot = name.indexOf(".");
  return dot < 0 ? { task: undefined, language: name } : { task: name.slice(0, dot), language: name.slice(dot + 1) };
}

/**
 * Finds the files of text-to-text pairs below folders of the layout `TASK/LANGUAGE/{train,validation,test}.jsonl`, sorted by task,
 * language, split and number. One that cannot be read is among them: reading it says so. A split may be in several files (`train-00000-of-00002.jsonl`). What is named otherwise is passed over and
 * told to `log`, and so are tasks and languages asked for of which there is nothing.
 *
 * @throws usageError for a source that is absent or holds no pairs, for a task or a language that is badly named, for a split that is
 *   there twice, and where the selection takes nothing
 */
export async function discoverPairs(sources: readonly string[], options: DiscoverPairsOptions): Promise<Shard[]> {
  const { languages, tasks, splits: wantedSplits = splits, fields, log = silentLog } = options;
  const found = new Map<string, Shard>();
  const passedOver: string[] = [];
  for (const source of sources) {
    let holdsPairs = false;
    for (const task of await folders(source, passedOver)) {
      for (const language of await folders(join(source, task), passedOver)) {
        const directory = join(source, task, language);
        for (const name of (await readdir(directory)).sort()) {
          const path = join(directory, name);
          const match = fileName.exec(name);
          const format = formatOf(name);
          if (!match || !format || format === "text") {
            passedOver.push(path);
            continue;
          }
          requireNames(task, language, directory);
          holdsPairs = true;
          const [split, index, count] = [match[1] as Split, Number(match[2] ?? 0), Number(match[3] ?? 1)];
          const shard: Shard = {
            name: `${task}/${language}/${name}`,
            language: taskLanguage(task, language),
            ...{ split, index, count, path, pairs: fields },
            bytes: (await stat(path).catch(() => undefined))?.size ?? 0,
          };
          const key = `${shard.language} ${split} ${index}`;
          const other = found.get(key);
          if (other && other.path !== path) throw twice(shard, other);
          if (index >= count || [...found.values()].some((one) => sameSplit(one, shard) && one.count !== count)) {
            throw usageError(`the files of ${shard.language} ${split} disagree on how many they are`, {
              code: "shard-counts-differ",
              where: path,
              hint: `name them ${split}-00000-of-00002 and so on, or keep one`,
            });
          }
          found.set(key, shard);
        }
      }
    }
    if (!holdsPairs) {
      throw usageError("the source holds no text-to-text pairs", {
        code: "source-empty",
        where: source,
        why: "no file in it is named as one",
        hint: `the layout is ${layout}`,
      });
    }
  }
  if (passedOver.length > 0) log.warn(describePassedOver(passedOver));
  const isWanted = ({ language: name, split }: Shard): boolean => {
    const { task, language } = splitTaskLanguage(name);
    return (
      (tasks?.includes(task ?? "") ?? true) && (languages?.includes(language) ?? true) && wantedSplits.includes(split)
    );
  };
  const there = [...found.values()].map(({ language }) => splitTaskLanguage(language));
  for (const task of tasks ?? []) {
    if (!there.some((one) => one.task === task)) log.warn(`there is no task ${task}`);
  }
  for (const language of languages ?? []) {
    if (!there.some((one) => one.language === language)) log.warn(`there are no pairs of ${language}`);
  }
  const wanted = [...found.values()].filter(isWanted).sort(byName);
  if (wanted.length > 0) return wanted;
  const held = [...new Set([...found.values()].map(({ language, split }) => `${language} ${split}`))];
  throw usageError("no pairs are left of the tasks, languages and splits asked for", {
    code: "no-matching-shards",
    where: sources.join(", "),
    why: `there are ${held.slice(0, 8).join(", ")}${held.length > 8 ? `, … (${held.length} in all)` : ""}`,
    hint: "choose others, or leave the choice out",
  });
}

/** Names of the folders in a folder; other entries are passed over. */
async function folders(path: string, passedOver: string[]): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw usageError("the source cannot be read", {
      code: "source-unreadable",
      where: path,
      why: cause.code === "ENOENT" ? "there is no such directory" : cause.message,
      hint: `with --pairs a source is a folder of the layout ${layout}`,
      cause,
    });
  });
  const visible = entries.filter(({ name }) => !name.startsWith("."));
  const found: string[] = [];
  for (const { name } of visible) {
    // A link to a folder is one.
    if ((await stat(join(path, name)).catch(() => undefined))?.isDirectory()) found.push(name);
    else passedOver.push(join(path, name));
  }
  return found.sort();
}

function requireNames(task: string, language: string, directory: string): void {
  if (!taskName.test(task)) {
    throw usageError(`a task cannot be called ${task}`, {
      code: "task-name-invalid",
      where: directory,
      why: "its name may have letters, digits, - and _",
      hint: "rename the folder",
    });
  }
  let canonical: string | undefined;
  try {
    [canonical] = Intl.getCanonicalLocales(language);
  } catch {
    // No BCP 47.
  }
  if (findLanguage(language) || canonical === language) return;
  throw usageError(`${language} is no language code`, {
    code: "unknown-language",
    where: directory,
    why: canonical ? `BCP 47 writes it ${canonical}` : "it is not as BCP 47 has them",
    hint: `the layout is ${layout}`,
  });
}

function twice(shard: Shard, other: Shard): Error {
  return usageError(`two sources for ${shard.language} ${shard.split}`, {
    code: "duplicate-shard",
    where: shard.path,
    why: `it is at ${other.path} too`,
    hint: "remove one, or name only one of the two",
  });
}

function sameSplit(a: Shard, b: Shard): boolean {
  return a.language === b.language && a.split === b.split;
}

function byName(a: Shard, b: Shard): number {
  const compare = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);
  return compare(a.language, b.language) || compare(a.split, b.split) || a.index - b.index;
}
