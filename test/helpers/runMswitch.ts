import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../bin/run.js", import.meta.url));

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A `mswitch` command in a process of its own, on one thread. */
export function startMswitch(
  args: string[],
  env: Record<string, string> = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [bin, ...args], { env: { ...process.env, OMP_NUM_THREADS: "1", ...env } });
  const ended: Ended = { status: null, stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      ended[stream] += text;
    });
  }
  return {
    child,
    ended: once(child, "close").then(([status]) => ({ ...ended, status: status as number | null })),
  };
}

/** The same to its end. */
export function runMswitch(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return startMswitch(args, env).ended;
}
