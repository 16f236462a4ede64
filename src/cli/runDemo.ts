import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { loadBackend } from "../backends/loadBackend.js";
import { exitCode, MswitchError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { packageRoot, shipped } from "./packageRoot.js";

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

/**
 * The whole job on the shipped sample, as the commands a user would type: preprocess, the dense baseline and its Switch twin
 * trained at the same time (half the cores each; one after the other on a single core), and the report. The torch backend affords
 * wider models and more steps in the same minutes, in run directories of their own.
 */
export async function runDemo({ out, backend, log, signal }: DemoOptions): Promise<DemoReport> {
  const folder = resolve(out);
  const dataset = join(folder, "dataset");
  const { name: chosen } = await loadBackend(backend);
  const size = chosen.startsWith("torch") ? "-large" : "";
  const runs = { dense: join(folder, `dense${size}`), switch: join(folder, `switch${size}`) };
  const cores = availableParallelism();
  const threads = Math.max(1, Math.floor(cores / 2));

  const mswitch = (name: string, args: string[]): Promise<string> =>
    runCommand(name, [...args, "--json"], threads, log, signal);
  const pretrain = (name: "dense" | "switch"): Promise<string> => {
    const pipeline = shipped("pipelines", `demo-${name}${size}.yaml`);
    const options = ["--run", runs[name], "--set", `dataset=${dataset}`, "--backend", chosen];
    return mswitch(name, ["pretrain", pipeline, ...options]);
  };

  await mswitch("preprocess", [
    "preprocess",
    ...["--source", shipped("data", "sample")],
    ...["--vocab", shipped("vocab", "sample.model")],
    ...["--out", dataset],
  ]);
  if (cores > 1) {
    await allOrAbort([pretrain("dense"), pretrain("switch")]);
  } else {
    await pretrain("dense");
    await pretrain("switch");
  }
  const to = ["--dataset", dataset, "--out", join(folder, "report")];
  const report = await mswitch("report", ["report", runs.dense, runs.switch, ...to]);
  return JSON.parse(report) as DemoReport;
}

/** Waits for all, so that no training is left running behind an error of the other. */
async function allOrAbort(work: Promise<string>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Runs one mswitch command in a process of its own, its log lines under its name. @returns its stdout */
function runCommand(name: string, args: string[], threads: number, log: Log, signal: AbortSignal): Promise<string> {
  log.info(`$ mswitch ${args.filter((arg) => arg !== "--json").join(" ")}`);
  return new Promise((resolvePromise, reject) => {
    const child = spawn(process.execPath, [join(packageRoot, "bin", "run.js"), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      // Its own process group: Ctrl-C reaches us alone, and each child gets one SIGTERM, not two signals at once.
      detached: true,
      // libtorch's threads: two trainings that each take every core wait for each other.
      env: { OMP_NUM_THREADS: String(threads), ...process.env },
    });
    const stop = (): void => void child.kill("SIGTERM");
    signal.addEventListener("abort", stop, { once: true });
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    createInterface({ input: child.stderr }).on("line", (line) => log.info(`[${name}] ${line}`));
    child.on("error", reject);
    child.on("close", (code) => {
      signal.removeEventListener("abort", stop);
      if (code === exitCode.done) resolvePromise(stdout);
      else if (signal.aborted) reject(interrupted());
      else
        reject(
          new MswitchError(`${name} failed with exit code ${code}`, {
            code: "demo-step-failed",
            why: failureOf(stdout),
          }),
        );
    });
  });
}

function interrupted(): MswitchError {
  return new MswitchError("interrupted", {
    code: "interrupted",
    hint: "the same command goes on from here",
    exitCode: exitCode.interrupted,
  });
}

/** The message of a command's `--json` error document, where there is one. */
function failureOf(stdout: string): string {
  try {
    const document = JSON.parse(stdout) as { error?: { message?: string } };
    return document.error?.message ?? "see its log above";
  } catch {
    return "see its log above";
  }
}
