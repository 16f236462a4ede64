import * as z from "zod";
import { usageError } from "../../base/errors.js";
import { allLanguages, findLanguage, unknownLanguageHint } from "../shards/languages.js";
import { mc4Splits, type Split } from "../shards/shard.js";
import { formatShardName, parseShardName, type ShardIdentity } from "../shards/shardName.js";
import { DownloadFault, type HttpClient } from "./httpClient.js";
import { TransientFault } from "./httpRequest.js";

/**
 * mC4 as Allen AI published it, at the revision that Hugging Face's own loader names. Shard counts (`data/languages.json`) are
 * from that loader: datasets/mc4/mc4.py of huggingface/datasets.
 */
export const mc4Template =
  "https://huggingface.co/datasets/allenai/c4/resolve/1ddc917116b730e1859edef32896ec5c16be51d0/multilingual/{name}";

/** A listing of all of mC4 with long addresses has about 10 MB. */
const maxListingBytes = 256 * 2 ** 20;

export type RemoteShard = ShardIdentity & { path: string; bytes?: number };

interface Selection {
  languages?: readonly string[];
  splits?: readonly Split[];
}

/**
 * The shards an http(s) address stands for:
 *
 * - a template with `{code}` (or `{language}`), `{split}`, `{suffix}` (nothing or `-validation`), `{index}`, `{count}`, or `{name}`
 *   for the whole file name as mC4 writes it: all shards of the languages and splits asked for, in mC4's own numbers
 * - a shard's address
 * - a listing: an HTML index, a JSON list of addresses (or of objects with `url` and perhaps `bytes`), or a text of one a line
 *
 * @throws usageError for an address that is none, a listing that cannot be had or holds no shard
 */
export async function remoteShards(source: string, selection: Selection, client: HttpClient): Promise<RemoteShard[]> {
  if (source.includes("{")) return fromTemplate(source, selection);
  const url = URL.canParse(source) ? new URL(source) : undefined;
  if (!url)
    throw usageError("the source is no address", {
      code: "source-not-an-address",
      where: source,
      hint: "give http:// or https:// and a host",
    });
  refuseCredentials(url);
  const own = shardAt(url.href);
  if (own) return [own];
  const text = await readListing(url.href, client);
  const shards = parseListing(text, url.href);
  if (shards.length === 0) {
    throw usageError("the listing names no shard", {
      code: "listing-without-shards",
      where: source,
      hint: "it must link to files named c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz, or give a template with {code}, {index} and {count}",
    });
  }
  return shards;
}

function fromTemplate(template: string, { languages, splits = mc4Splits }: Selection): RemoteShard[] {
  const names = [...template.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]);
  const known = ["code", "language", "split", "suffix", "index", "count", "name"];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw usageError(`unknown placeholder {${unknown}}`, {
      code: "template-invalid",
      where: template,
      hint: `known are {${known.join("}, {")}}`,
    });
  }
  const has = (...any: string[]): boolean => any.some((name) => names.includes(name));
  const lacking = [
    has("code", "language", "name") || languages?.length === 1 ? [] : ["{code}"],
    has("index", "name") ? [] : ["{index}"],
    has("split", "suffix", "name") || splits.length === 1 ? [] : ["{suffix} or {split}"],
  ].flat();
  if (lacking.length > 0) {
    throw usageError(`the template lacks ${lacking.join(", ")}`, {
      code: "template-invalid",
      where: template,
      why: "several shards would have one address",
      hint: "mC4's own names are {name}, or c4-{code}{suffix}.tfrecord-{index}-of-{count}.json.gz",
    });
  }
  const tasks = languages ? languages.map(taskOf) : allLanguages();
  // The name's ending says how a shard is compressed.
  const ending = /\.jsonl?(?:\.gz|\.zst)?$/.exec(template)?.[0] ?? ".json.gz";
  const shards: RemoteShard[] = [];
  for (const { code, trainShards, validationShards } of tasks) {
    for (const split of splits) {
      const count = split === "train" ? trainShards : validationShards;
      for (let index = 0; index < count; index++) {
        const name = formatShardName(code, split, index, count).replace(/\.json\.gz$/, ending);
        const values: Record<string, string> = {
          code,
          language: code,
          split,
          suffix: split === "validation" ? "-validation" : "",
          index: String(index).padStart(5, "0"),
          count: String(count).padStart(5, "0"),
          name,
        };
        const path = template.replace(/\{([^{}]*)\}/g, (_, placeholder: string) => values[placeholder]);
        if (shards.length === 0) {
          if (!URL.canParse(path))
            throw usageError("the template makes no address", { code: "template-invalid", where: path });
          refuseCredentials(new URL(path));
        }
        shards.push({ name, language: code, split, index, count, path });
      }
    }
  }
  return shards;
}

function taskOf(code: string): ReturnType<typeof allLanguages>[number] {
  const task = findLanguage(code);
  if (!task)
    throw usageError(`unknown language ${code}`, { code: "unknown-language", hint: unknownLanguageHint(code) });
  return task;
}

function refuseCredentials(url: URL): void {
  if (!url.username && !url.password) return;
  throw usageError("the address holds a name or password", {
    code: "source-with-credentials",
    where: url.host,
    why: "it would be written into the dataset's records",
    hint: "download the shards yourself, or use an address that needs none",
  });
}

async function readListing(url: string, client: HttpClient): Promise<string> {
  try {
    return await client.retry(url, async (signal) => {
      const { body, headers } = await client.get(url, signal);
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        length += chunk.length;
        if (length > maxListingBytes)
          throw usageError("the listing is too long", {
            code: "listing-too-long",
            where: url,
            hint: "cut it in parts",
          });
      }
      const { "content-length": size } = headers;
      if (size !== undefined && Number(size) !== length) throw new TransientFault(`${length} of ${size} bytes came`);
      return Buffer.concat(chunks).toString("utf8");
    });
  } catch (error) {
    if (!(error instanceof DownloadFault)) throw error;
    throw usageError("the listing cannot be read", {
      code: "listing-unreadable",
      where: url,
      why: error.message,
      hint: "name a listing, a shard, or a template with {code}, {index} and {count}",
      cause: error,
    });
  }
}

const jsonListing = z.array(
  z.union([z.string(), z.looseObject({ url: z.string(), bytes: z.int().nonnegative().optional() })]),
);

/** The shards a listing names, whatever its form; addresses may be relative to its own. */
export function parseListing(text: string, base: string): RemoteShard[] {
  const trimmed = text.trimStart();
  let links: { url: string; bytes?: number }[];
  if (trimmed.startsWith("[")) {
    const parsed = jsonListing.safeParse(parseJson(trimmed));
    if (!parsed.success) {
      throw usageError("the listing is no JSON list of addresses", {
        code: "listing-invalid",
        where: base,
        hint: 'give ["https://…", …] or [{"url": "https://…", "bytes": 123}, …]',
      });
    }
    links = parsed.data.map((one) => (typeof one === "string" ? { url: one } : one));
  } else if (trimmed.startsWith("<")) {
    links = [...trimmed.matchAll(/\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))/gi)].map((match) => ({
      url: (match[1] ?? match[2] ?? match[3]).replaceAll("&amp;", "&"),
    }));
  } else {
    links = trimmed.split("\n").map((line) => ({ url: line.trim() }));
  }
  const shards = new Map<string, RemoteShard>();
  for (const { url, bytes } of links) {
    if (!URL.canParse(url, base)) continue;
    const { href } = new URL(url, base);
    const shard = shardAt(href);
    if (shard) shards.set(href, { ...shard, bytes });
  }
  return [...shards.values()];
}

/** The shard that an address names in the last part of its path. */
function shardAt(href: string): RemoteShard | undefined {
  const url = new URL(href);
  if (!/^https?:$/.test(url.protocol)) return undefined;
  let name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  try {
    name = decodeURIComponent(name);
  } catch {
    return undefined;
  }
  const identity = parseShardName(name);
  url.hash = "";
  return identity && { ...identity, path: url.href };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
