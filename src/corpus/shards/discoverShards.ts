import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { usageError } from "../../base/errors.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { HttpClient } from "../remote/httpClient.js";
import { isRemote } from "../remote/remoteFile.js";
import { mc4Template, remoteShards } from "../remote/remoteShards.js";
import { globPattern } from "./globPattern.js";
import { findLanguage, nearestLanguageHint } from "./languages.js";
import type { Shard, Split } from "./shard.js";
import { parseShardName, type ShardIdentity } from "./shardName.js";

export interface DiscoverOptions {
  /** mC4 codes to take; all that are there where absent. */
  languages?: readonly string[];
  /** Splits to take; both where absent. */
  splits?: readonly Split[];
  /** Asks servers for listings. */
  client?: HttpClient;
}

/** Files asked for their size at a time. */
const statsAtOnce = 16;

/** On disk mC4 also has pages whose language was not determined; they belong to none of its 107 tasks and are passed over. */
const undetermined = "und";

const nameHint = "shards are named c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz (or .jsonl, .json.zst, …)";

/** A shard and where it is; its size where a listing gives it. */
type Found = ShardIdentity & { path: string; bytes?: number };

/**
 * Finds the shards of an mC4-shaped corpus, sorted by language, split and index. Not every shard of a language need be there.
 *
 * Files with other names, and mC4's `und`, are passed over. A shard that is there but cannot be read is listed: reading it
 * gives a rejection and takes nothing from the others. Nothing is asked of a server but its listings.
 *
 * @param sources directories (not searched below their first level), files, patterns with `*`, `?`, `{a,b}` in the file name, http(s)
 *   addresses as `remoteShards` takes them, or `mc4` for the public copy of mC4
 * @throws usageError for a source that is absent or holds no shard, for an unknown language in a file name, for one shard name
 *   in two places, for shards of one language and split that disagree on their number, and where the selection takes nothing
 */
export async function discoverShards(sources: readonly string[], options: DiscoverOptions = {}): Promise<Shard[]> {
  if (sources.length === 0)
    throw usageError("no source is named", { code: "no-source", hint: "name a directory of mC4 shards" });
  const byName = new Map<string, Found>();
  const place = (path: string): string => (isRemote(path) ? path : resolve(path));
  for (const source of sources) {
    for (const shard of await shardsOf(source, options)) {
      // However it is compressed: both would be written to one place.
      const key = `${shard.language} ${shard.split} ${shard.index} ${shard.count}`;
      const other = byName.get(key);
      if (other && place(other.path) !== place(shard.path)) {
        throw usageError(`two sources for the shard ${shard.name}`, {
          code: "duplicate-shard",
          where: shard.path,
          why: `it is at ${other.path} too`,
          hint: "remove one, or name only one of the two",
        });
      }
      byName.set(key, shard);
    }
  }
  const { languages, splits } = options;
  const wanted = [...byName.values()].filter(
    ({ language, split }) => (languages?.includes(language) ?? true) && (splits?.includes(split) ?? true),
  );
  if (wanted.length === 0) {
    const there = [...new Set([...byName.values()].map(({ language, split }) => `${language} ${split}`))].sort();
    throw usageError("no shard is left of the languages and splits asked for", {
      code: "no-matching-shards",
      where: sources.join(", "),
      why: `there are ${there.slice(0, 8).join(", ")}${there.length > 8 ? `, … (${there.length} in all)` : ""}`,
      hint: "choose others, or leave the choice out",
    });
  }
  refuseDisagreement(wanted);
  wanted.sort(byLanguageSplitIndex);
  const shards = wanted.map((shard): Shard => ({ ...shard, bytes: shard.bytes ?? 0 }));
  await forEachConcurrently(shards, statsAtOnce, async (shard) => {
    if (!isRemote(shard.path)) shard.bytes = (await stat(shard.path).catch(() => undefined))?.size ?? 0;
  });
  return shards;
}

async function shardsOf(source: string, options: DiscoverOptions): Promise<Found[]> {
  const files = await filesOf(source, options);
  const shards: Found[] = [];
  let passedOver = 0;
  for (const shard of files) {
    if (!("name" in shard)) continue;
    const { path } = shard;
    if (shard.language === undetermined) {
      passedOver++;
      continue;
    }
    if (!findLanguage(shard.language)) {
      throw usageError(`unknown language ${shard.language}`, {
        code: "unknown-language",
        where: path,
        why: "it is no task of mC4",
        hint: `${nearestLanguageHint(shard.language)} Rename the file or move it away`,
      });
    }
    if (shard.index >= shard.count) {
      throw usageError(`shard ${shard.index} of ${shard.count}`, {
        code: "shard-number-invalid",
        where: path,
        why: "shards are counted from 00000",
        hint: nameHint,
      });
    }
    shards.push(shard);
  }
  if (shards.length === 0) {
    throw usageError("the source holds no shard", {
      code: "source-empty",
      where: source,
      why:
        passedOver > 0
          ? `all ${passedOver} are of undetermined language (und)`
          : `none of its ${files.length} files is one`,
      hint: nameHint,
    });
  }
  return shards;
}

/** The files a source stands for; those that are shards with what their names say. */
async function filesOf(source: string, options: DiscoverOptions): Promise<(Found | { path: string })[]> {
  if (source === "mc4") return remoteShards(mc4Template, options, options.client ?? new HttpClient());
  if (isRemote(source)) return remoteShards(source, options, options.client ?? new HttpClient());
  if (/^[a-z][a-z0-9+]+:\/\//i.test(source)) {
    throw usageError("the source is at no kind of address that can be read", {
      code: "source-not-an-address",
      where: source,
      hint: "give http:// or https://, or a directory: mount or download what is elsewhere",
    });
  }
  const paths = await localFiles(source);
  return paths.map((path) => {
    const identity = parseShardName(basename(path));
    return identity ? { ...identity, path } : { path };
  });
}

async function localFiles(source: string): Promise<string[]> {
  const entry = await stat(source).catch((error: NodeJS.ErrnoException) => error);
  if (!(entry instanceof Error)) return entry.isDirectory() ? list(source) : [source];
  const [directory, pattern] = [dirname(source), basename(source)];
  if (entry.code !== "ENOENT" || !/[*?{]/.test(source)) throw absent(source, entry);
  if (/[*?{]/.test(directory)) {
    throw usageError("a pattern is understood in the file name only", {
      code: "source-pattern-invalid",
      where: source,
      hint: "name each directory as a source of its own",
    });
  }
  const expression = globPattern(pattern);
  return (await list(directory)).filter((path) => expression.test(basename(path)));
}

async function list(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    throw absent(directory, error);
  });
  return names.sort().map((name) => join(directory, name));
}

function absent(path: string, cause: NodeJS.ErrnoException): Error {
  const why = cause.code === "ENOENT" ? "there is no such file or directory" : cause.message;
  return usageError("the source cannot be read", {
    code: "source-unreadable",
    where: path,
    why,
    hint: "name a directory of mC4 shards, or a pattern such as 'corpus/c4-{af,am}*.json.gz'",
    cause,
  });
}

function refuseDisagreement(shards: Found[]): void {
  const firsts = new Map<string, Found>();
  for (const shard of shards) {
    const key = `${shard.language} ${shard.split}`;
    const first = firsts.get(key) ?? shard;
    firsts.set(key, first);
    if (first.count !== shard.count) {
      throw usageError(`the ${shard.split} shards of ${shard.language} disagree on how many they are`, {
        code: "shard-counts-differ",
        where: shard.path,
        why: `this one says ${shard.count}, ${first.path} says ${first.count}`,
        hint: "shards of two different splittings must not be mixed: keep one of them",
      });
    }
  }
}

function byLanguageSplitIndex(a: Found, b: Found): number {
  const compare = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);
  return compare(a.language, b.language) || compare(a.split, b.split) || a.index - b.index;
}
