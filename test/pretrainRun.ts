import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { sha256 } from "../src/base/hash.js";
import { writeDiskDataset } from "./diskDataset.js";

const bin = fileURLToPath(new URL("../bin/run.js", import.meta.url));

/** A pipeline file for a model of a few thousand parameters on made-up tokens. */
export async function writeTinyPipeline(folder: string, keys: Record<string, unknown> = {}): Promise<string> {
  const dataset = join(folder, "dataset");
  await writeDiskDataset(dataset, { aa: { train: 3000, validation: 300 }, bb: { train: 2000, validation: 200 } });
  const file = join(folder, "pipeline.yaml");
  const pipeline = {
    dataset,
    run: join(folder, "run"),
    model: {
      ...{ preset: "tiny", dModel: 8, dKv: 4, dFf: 16, heads: 2 },
      switch: { experts: 2, group: "batch" },
    },
    stream: { batchSize: 4, inputLength: 16 },
    optimizer: { minFactoredSize: 8, learningRate: { schedule: "constant", base: 0.01 } },
    steps: 6,
    evaluation: { every: 4, examplesPerLanguage: 2 },
    checkpoints: { every: 2, keepLast: 3 },
    logEvery: 1,
    backend: "wasm",
    ...keys,
  };
  writeFileSync(file, stringify(pipeline));
  return file;
}

/** A `mswitch pretrain` in a process of its own. */
export interface PretrainProcess {
  child: ChildProcess;
  /** Resolves at the n-th line of the log, or at the end. */
  line(n: number): Promise<void>;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

export function startPretrain(args: string[]): PretrainProcess {
  const child = spawn(process.execPath, [bin, "pretrain", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => {
    output.stdout += data.toString();
  });
  const waiting: { n: number; done(): void }[] = [];
  const lines = (): number => output.stderr.split("\n").length - 1;
  const wake = (all: boolean): void => {
    for (const waiter of waiting) if (all || lines() >= waiter.n) waiter.done();
  };
  child.stderr.on("data", (data: Buffer) => {
    output.stderr += data.toString();
    wake(false);
  });
  const ended = once(child, "close").then(([code]: (number | null)[]) => {
    wake(true);
    return { code, ...output };
  });
  return {
    child,
    line: (n) =>
      new Promise((done) => {
        waiting.push({ n, done });
        wake(child.exitCode !== null);
      }),
    ended,
  };
}

/** Hash of every checkpoint and evaluation file of a run, by its path in it, but for the training seconds: all that must not depend on what was interrupted. */
export function resultHashes(run: string): Record<string, string> {
  const hashes: Record<string, string> = {};
  for (const part of ["checkpoints", "eval"]) {
    for (const entry of readdirSync(join(run, part), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && entry.name !== "clock.json")
        hashes[path.slice(run.length + 1)] = sha256(readFileSync(path));
    }
  }
  return hashes;
}
