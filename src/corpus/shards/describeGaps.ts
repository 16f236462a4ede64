import { basename } from "node:path";
import { unknownLanguageHint } from "./languages.js";
import type { FoundShard } from "./shardName.js";

/** Names shown of many. */
const shownNames = 5;
const shownGroups = 10;

/** The shards of each language and split. */
export function bySplit(shards: readonly FoundShard[]): FoundShard[][] {
  const groups = new Map<string, FoundShard[]>();
  for (const shard of shards) {
    const key = `${shard.language} ${shard.split}`;
    const group = groups.get(key);
    if (group) group.push(shard);
    else groups.set(key, [shard]);
  }
  return [...groups.values()];
}

/** What is missing of the languages asked for and of the shards that the names of the others tell of, a line each. */
export function describeGaps(shards: readonly FoundShard[], languages: readonly string[] | undefined): string[] {
  const there = new Set(shards.map(({ language }) => language));
  const absent = (languages ?? []).filter((code) => !there.has(code));
  const lines = absent.map((code) => `there is no shard of ${code}. ${unknownLanguageHint(code)}`.trim());
  const incomplete = bySplit(shards).flatMap((group) => {
    const missing = missingNumbers(group);
    if (missing.length === 0) return [];
    const { language, split, parts, count } = group[0];
    const which = ranges(missing);
    return parts
      ? [`${language} ${split}: part ${which} of mC4 3.1.0 is in no file`]
      : [`${language} ${split}: ${group.length} of ${count} shards are there; missing: ${which}`];
  });
  lines.push(...incomplete.slice(0, shownGroups));
  if (incomplete.length > shownGroups) lines.push(`${incomplete.length - shownGroups} more splits lack shards`);
  return lines;
}

/** Numbers below the count, or below the last part, that no shard has. */
function missingNumbers(group: FoundShard[]): number[] {
  const has = new Set(group.flatMap(({ parts, index }) => parts ?? [index]));
  const count = group[0].parts ? Math.max(...has) + 1 : group[0].count;
  return Array.from({ length: count }, (_, i) => i).filter((i) => !has.has(i));
}

/** `1, 3 to 7, 9`. */
function ranges(numbers: number[]): string {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  const shown = found.slice(0, shownNames).map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`));
  return shown.join(", ") + (found.length > shownNames ? ", …" : "");
}

/** Files that are read as nothing; first those whose names are almost a shard's. */
export function describePassedOver(paths: readonly string[]): string {
  const names = paths.map((path) => basename(path));
  const almost = names.filter((name) => /^c4-|\.json/i.test(name));
  const shown = [...almost, ...names.filter((name) => !almost.includes(name))].slice(0, shownNames);
  const nearly = almost.length > 0 ? `; ${almost.length} of them almost named as a shard` : "";
  const more = names.length > shownNames ? ", …" : "";
  return `${names.length} ${names.length === 1 ? "file was" : "files were"} passed over${nearly}: ${shown.join(", ")}${more}`;
}
