import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { usageError } from "../../base/errors.js";
import { forEachConcurrently } from "../../base/forEachConcurrently.js";
import { type Log, silentLog } from "../../base/log.js";
import { formatOf } from "../read/format.js";
import { HttpClient } from "../remote/httpClient.js";
import { isRemote } from "../remote/remoteFile.js";
import { mc4Template, remoteShards } from "../remote/remoteShards.js";
import { bySplit, describeGaps, describePassedOver } from "./describeGaps.js";
import { globPattern } from "./globPattern.js";
import { isLanguageCode, unknownLanguageHint } from "./languages.js";
import { noReadableFile, ownFiles } from "./ownFiles.js";
import type { Shard, Split } from "./shard.js";
import { type FoundShard, parseShardName, type ShardIdentity } from "./shardName.js";

export interface DiscoverOptions {
  /** Codes to take; all that are there where absent. */
  languages?: readonly string[];
  /** Splits to take; both where absent. */
  splits?: readonly Split[];
  /** The sources are files of any name in this language. */
  language?: string;
  /** Field or column of the text. */
  textField?: string;
  /** See `ownFiles`. */
  validationEvery?: number;
  /** Asks servers for listings. */
  client?: HttpClient;
  /** Is told what is missing and what was passed over. */
  log?: Log;
}

/** Files asked for their size at a time. */
const statsAtOnce = 16;

/** On disk mC4 also has pages whose language was not determined; they belong to none of its 107 tasks and are passed over. */
const undetermined = "und";

/** The public copy of mC4. */
export const publicMc4 = "hf:allenai/c4";

const nameHint =
  "shards are named c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz (or .jsonl, .json.zst, …); files of any other name are taken with --language CODE";

/**
 * Finds the shards of a corpus, sorted by language, split and index. Not every shard of a language need be there: what is missing is
 * told to `log`, and so are files that were passed over and mC4's `und`. A shard that is there but cannot be read is listed: reading it
 * gives a rejection and takes nothing from the others. Nothing is asked of a server but its listings.
 *
 * @param sources directories (their first level, or the one folder in it that holds shards), files, patterns with `*`, `?`, `{a,b}` in the
 *   file name, http(s) addresses as `remoteShards` takes them, or `hf:allenai/c4` for the public copy of mC4
 * @throws usageError for a source that is absent or holds no shard, for an unknown language in a file name, for one shard name
 *   in two places, for shards of one language and split that disagree on their number, and where the selection takes nothing
 */
export async function discoverShards(sources: readonly string[], options: DiscoverOptions = {}): Promise<Shard[]> {
  if (sources.length === 0)
    throw usageError("no source is named", { code: "no-source", hint: "name a directory of mC4 shards" });
  const { languages, splits, textField, log = silentLog } = options;
  const found = options.language === undefined ? await namedShards(sources, options) : await own(sources, options);
  const wanted = found
    .filter(({ language, split }) => (languages?.includes(language) ?? true) && (splits?.includes(split) ?? true))
    .map((shard) => (textField === undefined ? shard : { ...shard, textField }));
  if (wanted.length === 0) {
    const there = [...new Set(found.map(({ language, split }) => `${language} ${split}`))].sort();
    const lacking = languages?.find((code) => !found.some(({ language }) => language === code));
    throw usageError("no shard is left of the languages and splits asked for", {
      code: "no-matching-shards",
      where: sources.join(", "),
      why: `there are ${there.slice(0, 8).join(", ")}${there.length > 8 ? `, … (${there.length} in all)` : ""}`,
      hint: `${lacking ? `${unknownLanguageHint(lacking)} ` : ""}choose others, or leave the choice out`,
    });
  }
  refuseDisagreement(wanted);
  wanted.sort(byLanguageSplitIndex);
  for (const line of describeGaps(wanted, languages)) log.warn(line);
  const shards = wanted.map(({ parts: _, ...shard }): Shard => ({ ...shard, bytes: shard.bytes ?? 0 }));
  await forEachConcurrently(shards, statsAtOnce, async (shard) => {
    if (!isRemote(shard.path)) shard.bytes = (await stat(shard.path).catch(() => undefined))?.size ?? 0;
  });
  return shards;
}

/** The shards whose names say what they are. */
async function namedShards(sources: readonly string[], options: DiscoverOptions): Promise<FoundShard[]> {
  const byName = new Map<string, FoundShard>();
  const place = (path: string): string => (isRemote(path) ? path : resolve(path));
  for (const source of sources) {
    for (const shard of await shardsOf(source, options)) {
      // However it is compressed: both would be written to one place.
      const key = `${shard.language} ${shard.split} ${shard.parts?.[0] ?? shard.index} ${shard.count}`;
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
  return numberParts([...byName.values()]);
}

/** Gives shards of mC4 3.1.0, whose names hold no number of shards, their place among those that are there. */
function numberParts(shards: FoundShard[]): FoundShard[] {
  const groups = bySplit(shards);
  return groups.flatMap((group) => {
    const parts = group.filter((shard) => shard.parts !== undefined);
    parts.sort((a, b) => a.parts![0] - b.parts![0]);
    const numbered = parts.map((shard, index) => ({ ...shard, index, count: parts.length }));
    return [...group.filter((shard) => shard.parts === undefined), ...numbered];
  });
}

/** All files of the sources as shards of the language that was named. */
async function own(sources: readonly string[], options: DiscoverOptions): Promise<FoundShard[]> {
  const { language = "", textField, validationEvery = 0, log = silentLog } = options;
  const files: { path: string }[] = [];
  const others: string[] = [];
  for (const source of sources) {
    const listed = isRemote(source) ? [{ path: source }] : (await localFiles(source)).map((path) => ({ path }));
    const visible = listed.filter(({ path }) => !basename(path).startsWith("."));
    const kinds = await Promise.all(visible.map(({ path }) => stat(path).catch(() => undefined)));
    // Of a folder no text comes, and a pipe can be read but once. What is not there is told of when it is read.
    const readable = visible.filter((_, i) => kinds[i]?.isFile() ?? true);
    if (!readable.some(({ path }) => formatOf(basename(path)))) throw noReadableFile(source, visible.length);
    files.push(...readable);
    others.push(...visible.filter((one) => !readable.includes(one)).map(({ path }) => path));
  }
  const once = [...new Map(files.map((file) => [resolve(file.path), file])).values()];
  const { shards, passedOver } = ownFiles(once, language, { textField, validationEvery });
  others.push(...passedOver);
  if (others.length > 0) log.warn(describePassedOver(others));
  const named = new Set(shards.flatMap(({ name }) => parseShardName(name)?.language ?? []));
  named.delete(language);
  if (named.size > 0) {
    log.warn(
      `files named as shards of ${[...named].slice(0, 8).join(", ")} are taken as ${language}; --languages chooses among them`,
    );
  }
  if (shards.length === 0) throw noReadableFile(sources.join(", "), files.length);
  if (shards.some(({ holdOut }) => holdOut)) {
    log.info(
      `no file is named for the validation split: one document in ${validationEvery} goes there (--validation-every)`,
    );
  }
  return shards;
}

async function shardsOf(source: string, options: DiscoverOptions): Promise<FoundShard[]> {
  const { log = silentLog } = options;
  const files = await filesOf(source, options);
  const shards: FoundShard[] = [];
  const others: string[] = [];
  let undeterminedShards = 0;
  for (const shard of files) {
    const { path } = shard;
    if (!("name" in shard)) {
      others.push(path);
      continue;
    }
    if (shard.language === undetermined) {
      undeterminedShards++;
      continue;
    }
    if (!isLanguageCode(shard.language)) {
      throw usageError(`unknown language ${shard.language}`, {
        code: "unknown-language",
        where: path,
        why: "it is neither a task of mC4 nor a BCP 47 code that is known",
        hint: `${unknownLanguageHint(shard.language)} Rename the file or move it away`,
      });
    }
    if (!shard.parts && shard.index >= shard.count) {
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
    const below = await shardFoldersBelow(source);
    if (below.length === 1) {
      log.info(`${source} holds no shard itself; reading those of ${below[0]}`);
      return shardsOf(below[0], options);
    }
    const readable = others.filter((path) => formatOf(basename(path)));
    throw usageError("the source holds no shard", {
      code: "source-empty",
      where: source,
      why:
        undeterminedShards > 0
          ? `all ${undeterminedShards} are of undetermined language (und)`
          : `none of its ${files.length} files is one`,
      hint:
        below.length > 1
          ? `there are shards in ${below.join(", ")}: name one of them`
          : readable.length > 0
            ? `${basename(readable[0])} can be read with --language CODE (and --text-field NAME); ${nameHint}`
            : nameHint,
    });
  }
  if (undeterminedShards > 0) log.info(`${undeterminedShards} shards of undetermined language (und) were passed over`);
  const visible = others.filter((path) => !basename(path).startsWith("."));
  if (visible.length > 0) log.warn(describePassedOver(visible));
  return shards;
}

/** Folders in a directory that hold shards, as the clone of a Hugging Face dataset has them in `multilingual/`. */
async function shardFoldersBelow(source: string): Promise<string[]> {
  if (isRemote(source)) return [];
  const entries = await readdir(source, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    const names = await readdir(join(source, entry.name)).catch(() => []);
    if (names.some((name) => isTaken(parseShardName(name)))) found.push(join(source, entry.name));
  }
  return found;
}

function isTaken(shard: ShardIdentity | undefined): boolean {
  return shard !== undefined && shard.language !== undetermined && isLanguageCode(shard.language);
}

/** The files a source stands for; those that are shards with what their names say. */
async function filesOf(source: string, options: DiscoverOptions): Promise<(FoundShard | { path: string })[]> {
  if (source === publicMc4) return remoteShards(mc4Template, options, options.client ?? new HttpClient());
  if (isRemote(source)) return remoteShards(source, options, options.client ?? new HttpClient());
  if (/^hf:/i.test(source)) {
    throw usageError("of Hugging Face only the public copy of mC4 can be named", {
      code: "source-not-an-address",
      where: source,
      hint: `--source ${publicMc4}; download another dataset (hf download) and name its folder with --language CODE`,
    });
  }
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
  const isWord = /^(?:mc4|c4)$/i.test(path);
  return usageError("the source cannot be read", {
    code: "source-unreadable",
    where: path,
    why,
    hint: isWord
      ? `the public copy of mC4 is --source ${publicMc4}`
      : "name a directory of mC4 shards, or a pattern such as 'corpus/c4-{af,am}*.json.gz'",
    cause,
  });
}

function refuseDisagreement(shards: FoundShard[]): void {
  const firsts = new Map<string, FoundShard>();
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

function byLanguageSplitIndex(a: FoundShard, b: FoundShard): number {
  const compare = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);
  return compare(a.language, b.language) || compare(a.split, b.split) || a.index - b.index;
}
