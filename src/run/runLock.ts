import { readFileSync } from "node:fs";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { MswitchError } from "../base/errors.js";
import type { Log } from "../base/log.js";

/** Who trains in a run directory. */
interface Owner {
  host: string;
  pid: number;
  /** When the process began, in the kernel's own count; tells a process from a later one of the same number. */
  began: string;
}

export const lockName = "run.lock";

/**
 * Makes this process the only one that trains in `directory`. A lock whose owner was killed is taken over; so is, with a
 * warning, one of another machine, where nobody can tell, because a job that is started again elsewhere must go on by itself.
 *
 * @returns gives the directory back
 * @throws MswitchError where a running process of this machine holds it
 */
export async function lockRun(directory: string, log: Log): Promise<() => Promise<void>> {
  const path = join(directory, lockName);
  const mine: Owner = { host: hostname(), pid: process.pid, began: processStart(process.pid) ?? "" };
  // A hard link comes into being whole or not at all: nobody reads a lock without its owner.
  const draft = join(directory, `.${lockName}.tmp-${mine.pid}`);
  await writeFile(draft, JSON.stringify(mine));
  try {
    for (;;) {
      const taken = await link(draft, path).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === "EEXIST") return false;
          throw error;
        },
      );
      if (taken) break;
      const owner = await readOwner(path);
      if (owner?.host === mine.host && isRunning(owner)) {
        throw new MswitchError("another process is training in this run directory", {
          code: "run-locked",
          where: directory,
          why: `process ${owner.pid} holds ${lockName}`,
          hint: "Wait for it or end it, or give this run a directory of its own with --run.",
        });
      }
      if (owner && owner.host !== mine.host) log.warn(`${path}: taken over from ${owner.host}, process ${owner.pid}`);
      await rm(path, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
  return () => rm(path, { force: true });
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch {
    return undefined;
  }
}

function isRunning({ pid, began }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return began === (processStart(pid) ?? "");
}

/** Field 22 of /proc/PID/stat; undefined where there is no such file. */
function processStart(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
