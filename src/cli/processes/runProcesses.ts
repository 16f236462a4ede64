import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { exitCode, MswitchError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";

export interface ProcessesOptions {
  /** Arguments of mswitch, the same for every rank. */
  args: readonly string[];
  processes: number;
  /** Of each process. */
  threads: number;
  log: Log;
  signal: AbortSignal;
  /** How mswitch is started. */
  bin: string;
}

/** How long the other ranks have to end by themselves after one has failed, milliseconds. */
const graceMs = 15_000;

/**
 * Runs one command in several processes of this machine, as torchrun would: rank 0 has the terminal's voice, and its stdout is the result. A
 * signal goes to all of them; when one fails the others are ended.
 *
 * @returns stdout of rank 0 and the exit code that all of them came to
 * @throws MswitchError where a rank failed
 */
export async function runProcesses(options: ProcessesOptions): Promise<{ stdout: string; code: number }> {
  const { processes, log, signal } = options;
  const port = await freePort();
  const children = Array.from({ length: processes }, (_, rank) => startRank(options, rank, port));
  const end = (name: NodeJS.Signals): void => {
    for (const { child } of children) if (child.exitCode === null && child.signalCode === null) child.kill(name);
  };
  const onAbort = (): void => end("SIGTERM");
  signal.addEventListener("abort", onAbort, { once: true });
  let failed: { rank: number; why: string } | undefined;
  let killer: NodeJS.Timeout | undefined;
  try {
    const codes = await Promise.all(
      children.map(async ({ child }, rank) => {
        const [code, killedBy] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
        const isFailure = code === null || (code !== exitCode.done && code !== exitCode.interrupted);
        if (isFailure && !failed) {
          failed = { rank, why: killedBy ? `it was ended by ${killedBy}` : `it ended with exit code ${code}` };
          log.warn(`rank ${rank} failed: ${failed.why}; ending the others`);
          end("SIGTERM");
          killer = setTimeout(() => end("SIGKILL"), graceMs);
        }
        return code ?? exitCode.failed;
      }),
    );
    if (failed) {
      const told = errorOf(children[failed.rank].stdout());
      if (told) throw new MswitchError(told.what, { ...told, exitCode: codes.includes(2) ? 2 : 1 });
      throw new MswitchError("a process of the run failed", {
        code: "rank-failed",
        where: `rank ${failed.rank} of ${processes}`,
        why: failed.why,
        hint: "its messages are above; the same command goes on from the last checkpoint",
        exitCode: codes.includes(exitCode.usage) ? exitCode.usage : exitCode.failed,
      });
    }
    return { stdout: children[0].stdout(), code: Math.max(...codes) };
  } finally {
    clearTimeout(killer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** What a rank says of its end with `--json`, where it had the time to. */
function errorOf(
  stdout: string,
): { what: string; code: string; where?: string; why?: string; hint?: string } | undefined {
  try {
    const { error } = JSON.parse(stdout) as { error?: ReturnType<typeof errorOf> };
    return error?.what === undefined ? undefined : error;
  } catch {
    return undefined;
  }
}

interface Rank {
  child: ChildProcess;
  stdout(): string;
}

function startRank({ args, processes, threads, log, bin }: ProcessesOptions, rank: number, port: number): Rank {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own: Ctrl-C reaches this process alone, which passes it on once.
    detached: true,
    env: {
      OMP_NUM_THREADS: String(threads),
      ...process.env,
      ...{ RANK: String(rank), LOCAL_RANK: String(rank), WORLD_SIZE: String(processes) },
      ...{ MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port) },
    },
  });
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  createInterface({ input: child.stderr! }).on("line", (line) =>
    log.info(rank === 0 ? line : `[rank ${rank}] ${line}`),
  );
  return { child, stdout: () => text };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("internal: a server without a port");
  return address.port;
}
