import { basename } from "node:path";
import { usageError } from "../../base/errors.js";
import { formatOf } from "../read/format.js";
import { mc4Splits, type Split } from "./shard.js";
import type { FoundShard } from "./shardName.js";

type OwnSplit = Exclude<Split, "test">;

/** Files of a corpus of one's own. */
export interface OwnFiles {
  shards: FoundShard[];
  /** Files that are read as nothing. */
  passedOver: string[];
}

/** Endings that are read, for messages. */
export const readEndings = ".jsonl, .json, .txt, .csv, .tsv (each also .gz or .zst) and .parquet";

/**
 * Takes files of any name as shards of one language. The ending says the format; a name with the word validation, valid, val or dev is of the
 * validation split, one with the word test is passed over, all others are of the training split. They are numbered as their names say
 * (`00000-of-00005`, as Hugging Face writes it) or else in the order of their names.
 *
 * @param validationEvery where no file is of the validation split: each so-manieth document goes there; 0 for none
 */
export function ownFiles(
  files: readonly { path: string; bytes?: number }[],
  language: string,
  { textField, validationEvery }: { textField?: string; validationEvery: number },
): OwnFiles {
  const passedOver: string[] = [];
  const bySplit: Record<OwnSplit, { path: string; bytes?: number }[]> = { train: [], validation: [] };
  for (const file of files) {
    const split = splitOf(nameOf(file.path));
    if (split && formatOf(nameOf(file.path))) bySplit[split].push(file);
    else passedOver.push(file.path);
  }
  const holdOut = bySplit.validation.length === 0 && validationEvery > 0;
  const shards: FoundShard[] = [];
  for (const split of mc4Splits) {
    const numbered = number(bySplit[split]);
    for (const { index, count, path, bytes } of numbered) {
      const shard = { name: nameOf(path), language, split, index, count, path, bytes, textField };
      if (!holdOut) shards.push(shard);
      else {
        shards.push({ ...shard, holdOut: { every: validationEvery, held: false } });
        shards.push({ ...shard, split: "validation", holdOut: { every: validationEvery, held: true } });
      }
    }
  }
  return { shards, passedOver };
}

function nameOf(path: string): string {
  return basename(/^https?:/i.test(path) ? new URL(path).pathname : path);
}

/** The split that a name's words say; undefined for a test split. */
function splitOf(name: string): OwnSplit | undefined {
  const words = name.toLowerCase().split(/[^a-z]+/);
  if (words.includes("test")) return undefined;
  return words.some((word) => ["validation", "valid", "val", "dev"].includes(word)) ? "validation" : "train";
}

/** Index and number of each file of a split. */
function number<File extends { path: string }>(files: File[]): (File & { index: number; count: number })[] {
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = files.toSorted((a, b) => compare(nameOf(a.path), nameOf(b.path)) || compare(a.path, b.path));
  const said = sorted.map(({ path }) => /(?<!\d)(\d{5})-of-(\d{5})(?!\d)/.exec(nameOf(path)));
  const counts = new Set(said.map((match) => match?.[2]));
  const indices = new Set(said.map((match) => match?.[1]));
  const count = Number([...counts][0]);
  if (counts.size === 1 && indices.size === files.length && said.every((match) => Number(match?.[1]) < count)) {
    return sorted.map((file, i) => ({ ...file, index: Number(said[i]?.[1]), count }));
  }
  return sorted.map((file, index) => ({ ...file, index, count: sorted.length }));
}

/** The error for a source of which no file could be read. */
export function noReadableFile(source: string, files: number): Error {
  return usageError("the source holds no file that can be read", {
    code: "source-empty",
    where: source,
    why: `none of the ${files} entries is a file named for a format and a split that are read`,
    hint: `endings that are read: ${readEndings}`,
  });
}
