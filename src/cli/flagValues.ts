import { usageError } from "../base/errors.js";
import { type Split, splits } from "../corpus/shards/shard.js";

/** Names separated by commas, with or without spaces: `numbers, emoji`. */
export function parseNames(list: string, where: string): string[] {
  const names = list.split(",").flatMap((name) => name.trim() || []);
  if (names.length > 0) return names;
  throw usageError("no name is given", { code: "flag-invalid", where, hint: "give names separated by commas" });
}

/** `train,validation`. */
export function parseSplits(list: string): Split[] {
  return list.split(",").map((name) => {
    const split = name.trim();
    if (!(splits as readonly string[]).includes(split)) {
      throw usageError(`unknown split ${split}`, {
        code: "flag-invalid",
        where: "--split",
        hint: `give some of ${splits.join(", ")}: train,validation`,
      });
    }
    return split as Split;
  });
}

/** Bytes, with or without a unit: `500MB`, `32GB`, `1TiB`. */
export function parseBytes(text: string, where: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?$/i.exec(text.trim());
  if (!match)
    throw usageError(`${text} is no size`, {
      code: "flag-invalid",
      where,
      hint: "give bytes, or such as 500MB, 32GB, 1TiB",
    });
  const power = ["", "k", "m", "g", "t"].indexOf(match[2].toLowerCase());
  return Number(match[1]) * (match[3] ? 1024 : 1000) ** power;
}

/** MB/s. */
export function parseSpeed(text: string): number {
  const speed = Number(text);
  if (speed > 0 && Number.isFinite(speed)) return speed;
  throw usageError(`${text} is no speed`, { code: "flag-invalid", where: "--speed", hint: "give MB/s, such as 35" });
}

/** `I/N` of `--task`: this process does share I, counted from 0, of N. */
export function parseTask(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index >= count) {
    throw usageError(`${text} is no task`, {
      code: "flag-invalid",
      where: "--task",
      why: "it must be I/N with I from 0 to N - 1",
      hint: "of four tasks: 0/4, 1/4, 2/4, 3/4",
    });
  }
  return { index, count };
}
