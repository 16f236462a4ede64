import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import type { DateRange, SetAside, SourceFacts } from "../../analysis/datasetFacts.js";
import { compressionOf, decompress } from "../../corpus/read/decompress.js";
import { defaultTextField, formatOf } from "../../corpus/read/format.js";
import { readCompressed, StreamFault } from "../../corpus/read/readCompressed.js";
import { isRemote } from "../../corpus/remote/remoteFile.js";
import type { ShardRecord } from "../format/manifest.js";

/** Bytes of a source, decompressed, that are looked at for dates. */
const datedBytes = 4 * 2 ** 20;

/** Bytes of a README or a licence that are looked at. */
const cardBytes = 64 * 1024;

/** Rejections that are listed; all are counted. */
const listedRejections = 100;

/** The public copy of mC4, whose card names the licence. */
const publicCopy = {
  address: "https://huggingface.co/datasets/allenai/c4/",
  licence: "ODC-BY 1.0, Common Crawl's terms of use",
};

/** Sums up the records of a dataset's shards: where they came from, and what was set aside. */
export function createSourceTally() {
  const sources = new Map<string, SourceFacts>();
  const setAside: SetAside = { causes: {}, byLanguage: {}, listed: [] };
  return {
    add({ source, language, rejected, rejections }: ShardRecord): void {
      const folder = dirname(source.path);
      const facts = sources.get(folder) ?? { folder, files: 0, bytes: 0, versions: [], licence: licenceOf(folder) };
      sources.set(folder, facts);
      facts.files++;
      facts.bytes += source.bytes;
      if (source.version !== undefined && !facts.versions.includes(source.version)) facts.versions.push(source.version);
      for (const [cause, count] of Object.entries(rejected)) {
        setAside.causes[cause] = (setAside.causes[cause] ?? 0) + count;
        setAside.byLanguage[language] = (setAside.byLanguage[language] ?? 0) + count;
      }
      const room = listedRejections - setAside.listed.length;
      setAside.listed.push(
        ...rejections.slice(0, Math.max(room, 0)).map((one) => ({ file: source.path, language, ...one })),
      );
    },
    sources: (): SourceFacts[] => [...sources.values()],
    setAside,
  };
}

/**
 * What a corpus says of its licence: `license` at the head of its README.md, as Hugging Face's dataset cards have it, or the first line of a
 * LICENSE file, in its folder or the one above.
 */
function licenceOf(folder: string): SourceFacts["licence"] {
  if (isRemote(folder)) {
    const isPublicCopy = `${folder}/`.startsWith(publicCopy.address);
    return isPublicCopy ? { name: publicCopy.licence, file: `${publicCopy.address}README.md` } : null;
  }
  for (const place of [folder, dirname(folder)]) {
    const card = join(place, "README.md");
    const name = existsSync(card) ? licenceOfCard(head(card)) : undefined;
    if (name !== undefined) return { name, file: card };
    for (const file of ["LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt"].map((one) =>
      join(place, one),
    )) {
      const line = existsSync(file)
        ? head(file)
            .split("\n")
            .find((one) => /\w/.test(one))
        : undefined;
      if (line !== undefined) return { name: line.replace(/^#+/, "").trim().slice(0, 200), file };
    }
  }
  return null;
}

function licenceOfCard(text: string): string | undefined {
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1];
  if (front === undefined) return undefined;
  try {
    const { license, license_name: name } = parse(front, { maxAliasCount: 0 }) as Record<string, unknown>;
    const known = license === "other" && typeof name === "string" ? name : license;
    const list = (Array.isArray(known) ? known : [known]).filter((one) => typeof one === "string");
    return list.length > 0 ? list.join(", ").slice(0, 200) : undefined;
  } catch {
    return undefined;
  }
}

function head(path: string): string {
  try {
    return statSync(path).size > cardBytes ? "" : readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * First and last day of the documents at the start of a source file, by the field `timestamp` of mC4's lines; null where the source is not
 * here any more, has changed, or has no such field.
 */
export async function datesOf({ source, options }: ShardRecord): Promise<DateRange | null> {
  if (isRemote(source.path) || (formatOf(source.path) ?? "jsonl") !== "jsonl") return null;
  if (statSync(source.path, { throwIfNoEntry: false })?.size !== source.bytes) return null;
  const text = await headOf(source.path);
  const field = String(options.textField ?? defaultTextField);
  // The last line may have been cut.
  const days = text
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => dayOf(line, field));
  if (days.length === 0) return null;
  days.sort();
  return { from: days[0], to: days[days.length - 1], documents: days.length };
}

async function headOf(path: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  try {
    for await (const piece of decompress(compressionOf(path), {
      open: () => readCompressed(path),
      onCompressed: () => undefined,
    })) {
      text += decoder.decode(piece, { stream: true });
      bytes += piece.length;
      if (bytes >= datedBytes) break;
    }
  } catch (error) {
    // What was set aside is counted elsewhere.
    if (!(error instanceof StreamFault)) throw error;
  }
  return text;
}

function dayOf(line: string, field: string): string[] {
  try {
    const { timestamp, [field]: text } = JSON.parse(line) as Record<string, unknown>;
    const day = typeof text === "string" ? /^\d{4}-\d{2}-\d{2}(?=T|$)/.exec(String(timestamp)) : null;
    return day ? [day[0]] : [];
  } catch {
    return [];
  }
}
