import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Log } from "../../base/log.js";
import { packageRoot } from "../packageRoot.js";

export interface CommandOptions {
  /** Stands before its log lines. */
  name: string;
  /** libtorch's threads: two trainings that each take every core wait for each other. */
  threads: number;
  log: Log;
  signal: AbortSignal;
}

export interface CommandEnd {
  exitCode: number | null;
  stdout: string;
  /** Of the `--json` error document, where there is one. */
  error?: { code: string; message: string };
}

/** Runs one mswitch command in a process of its own with `--json`. It gets SIGTERM when the signal is aborted, and ends with this process. */
export function runCommand(args: string[], { name, threads, log, signal }: CommandOptions): Promise<CommandEnd> {
  log.info(`$ mswitch ${args.join(" ")}`);
  const bin = join(packageRoot, "bin", "run.js");
  const guard = pathToFileURL(join(packageRoot, "dist", "cli", "processes", "endWithParent.js")).href;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", guard, bin, ...args, "--json"], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // Its own process group: Ctrl-C reaches us alone, and each child gets one SIGTERM, not two signals at once.
      detached: true,
      env: { OMP_NUM_THREADS: String(threads), ...process.env },
    });
    const stop = (): void => void child.kill("SIGTERM");
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    let stdout = "";
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
    });
    createInterface({ input: child.stderr! }).on("line", (line) => log.info(`[${name}] ${line}`));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      signal.removeEventListener("abort", stop);
      resolve({ exitCode, stdout, error: exitCode === 0 ? undefined : errorOf(stdout) });
    });
  });
}

function errorOf(stdout: string): CommandEnd["error"] {
  try {
    const { error } = JSON.parse(stdout) as { error?: { code: string; message: string } };
    return error && { code: error.code, message: error.message };
  } catch {
    return undefined;
  }
}
