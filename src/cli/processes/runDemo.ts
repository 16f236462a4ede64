import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { loadBackend } from "../../backends/loadBackend.js";
import { exitCode, MswitchError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import { shipped } from "../packageRoot.js";
import { runCommand } from "./runCommand.js";

export interface DemoOptions {
  /** Folder for the dataset, the two runs and the report. An unfinished demo in it goes on. */
  out: string;
  backend?: string;
  log: Log;
  signal: AbortSignal;
}

/** What the demo's last command, `mswitch report --json`, returns and the demo passes on. */
export interface DemoReport {
  /** The report's page. */
  page: string;
  candidates: { name: string; headline: string }[];
}

/** With each of them a baseline and a candidate are trained, so that the headline's interval has the spread of seeds in it. */
const seedsOnTorch = [1, 2, 3];

/**
 * The whole job on the shipped sample, as the commands a user would type: preprocess, the dense baseline and its Switch twin
 * trained at the same time (half the cores each; one after the other on a single core), and the report. The torch backend affords
 * more text and three seeds a side in the same minutes, in run directories of their own.
 */
export async function runDemo({ out, backend, log, signal }: DemoOptions): Promise<DemoReport> {
  const folder = resolve(out);
  const dataset = join(folder, "dataset");
  const { name: chosen } = await loadBackend(backend);
  const onTorch = chosen.startsWith("torch");
  const size = onTorch ? "-large" : "";
  const seeds = onTorch ? seedsOnTorch : [1];
  const runOf = (name: "dense" | "switch", seed: number): string =>
    join(folder, `${name}${size}${seeds.length > 1 ? `-seed${seed}` : ""}`);
  const cores = Number(process.env.OMP_NUM_THREADS) || availableParallelism();
  const threads = Math.max(1, Math.floor(cores / 2));
  // The commands inherit it.
  process.env.OMP_NUM_THREADS = String(threads);

  const mswitch = (name: string, args: string[]): Promise<string> => finished(name, args, threads, log, signal);
  const pretrain = (name: "dense" | "switch", seed: number): Promise<string> => {
    const pipeline = shipped("pipelines", `demo-${name}${size}.yaml`);
    const sets = ["--set", `dataset=${dataset}`, "--set", `seed=${seed}`];
    const label = seeds.length > 1 ? `${name}, seed ${seed}` : name;
    return mswitch(label, ["pretrain", pipeline, "--run", runOf(name, seed), ...sets, "--backend", chosen]);
  };

  await mswitch("preprocess", [
    "preprocess",
    ...["--source", shipped("data", "sample")],
    ...["--vocab", shipped("vocab", "sample.model")],
    ...["--out", dataset],
  ]);
  for (const seed of seeds) {
    if (cores > 1) {
      await allOrAbort([pretrain("dense", seed), pretrain("switch", seed)]);
    } else {
      await pretrain("dense", seed);
      await pretrain("switch", seed);
    }
  }
  const to = ["--dataset", dataset, "--out", join(folder, "report")];
  const runs = (["dense", "switch"] as const).flatMap((name) => seeds.map((seed) => runOf(name, seed)));
  const report = await mswitch("report", ["report", ...runs, ...to]);
  return JSON.parse(report) as DemoReport;
}

/** Waits for all, so that no training is left running behind an error of the other. */
async function allOrAbort(work: Promise<string>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** @returns the command's stdout */
async function finished(name: string, args: string[], threads: number, log: Log, signal: AbortSignal): Promise<string> {
  const { exitCode: code, stdout, error } = await runCommand(args, { name, threads, log, signal });
  if (code === exitCode.done) return stdout;
  if (signal.aborted) throw interrupted();
  throw new MswitchError(`${name} failed with exit code ${code}`, {
    code: "demo-step-failed",
    why: error?.message ?? "see its log above",
  });
}

function interrupted(): MswitchError {
  return new MswitchError("interrupted", {
    code: "interrupted",
    hint: "the same command goes on from here",
    exitCode: exitCode.interrupted,
  });
}
