import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { randomStream } from "../src/base/random.js";
import { formatShardName } from "../src/corpus/shards/shardName.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The shipped vocabulary. */
export const model = join(root, "vocab/sample.model");

export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  /** Sends the process `signal` when it settles. */
  kill?: Promise<void>;
  signal?: NodeJS.Signals;
  shell?: string;
}

/** Starts `mswitch preprocess` as a process of its own. */
export function preprocess(args: string[], options: RunOptions = {}): Promise<Run> {
  return mswitch(["preprocess", ...args], options);
}

/** Starts `mswitch` as a process of its own. */
export function mswitch(args: string[], { kill, signal = "SIGKILL", shell }: RunOptions = {}): Promise<Run> {
  const command = [process.execPath, join(root, "bin/run.js"), ...args];
  const [program, ...rest] = shell ? ["bash", "-c", `${shell}; exec "$@"`, "bash", ...command] : command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, { cwd: root });
    const run: Run = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => (run.stdout += chunk));
    child.stderr.on("data", (chunk) => (run.stderr += chunk));
    kill?.then(() => child.kill(signal));
    child.on("error", reject);
    child.on("close", (code) => resolve({ ...run, code }));
  });
}

/** Every file below a folder, hidden ones included; none where the folder is not there. */
export function filesBelow(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

/** Hash of every file below a folder by its path. */
export function snapshot(dir: string): Record<string, string> {
  return Object.fromEntries(filesBelow(dir).map((name) => [name, hashOf(join(dir, name))]));
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Made-up text in a few scripts, always the same for a seed. */
export function text(seed: number, words: number): string {
  const alphabets = [
    "abcdefghijklmnoprstuvwyz",
    "абвгдежзиклмнопрстуя",
    "हिंदमेंकरनलपसतयवश",
    "的一是在不了有和人这中大",
    "aäoöuüeioszčž",
  ];
  const random = randomStream(seed, "text");
  const alphabet = [...alphabets[random.integer(alphabets.length)]];
  const word = (): string =>
    Array.from({ length: 1 + random.integer(9) }, () => alphabet[random.integer(alphabet.length)]).join("");
  return Array.from({ length: words }, word).join(" ");
}

/** A line of a shard. */
export function line(value: string): string {
  return JSON.stringify({ text: value, timestamp: "2020-01-01T00:00:00Z", url: "https://example.org/" });
}

/** Writes a shard of lines, whatever they hold. */
export async function writeShard(
  dir: string,
  [language, split, index, count]: [string, "train" | "validation", number, number],
  lines: (string | Uint8Array)[],
): Promise<string> {
  await mkdir(dir, { recursive: true });
  const path = join(dir, formatShardName(language, split, index, count));
  await writeFile(path, gzipSync(Buffer.concat(lines.flatMap((one) => [Buffer.from(one), Buffer.from("\n")]))));
  return path;
}

/** Writes a corpus of sound shards: per language `shards` of train and one of validation. */
export async function writeCorpus(
  dir: string,
  languages: string[],
  { shards, documents, words }: { shards: number; documents: number; words: number },
): Promise<void> {
  let seed = 0;
  const lines = (): string[] => Array.from({ length: documents }, () => line(text(seed++, words)));
  for (const language of languages) {
    for (let i = 0; i < shards; i++) await writeShard(dir, [language, "train", i, shards], lines());
    await writeShard(dir, [language, "validation", 0, 1], lines());
  }
}
