import { readFileSync, rmSync } from "node:fs";
import { link, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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

/** How often the owner shows that it lives, and how long another host watches for that before it takes the lock over. */
export interface LockTimes {
  heartbeatMs: number;
  watchMs: number;
}

const defaultTimes: LockTimes = { heartbeatMs: 15_000, watchMs: 120_000 };

export interface RunLock {
  /** Throws where another host has taken the lock over: this process was stopped for so long that it passed for dead. */
  requireHeld(): Promise<void>;
  /** Gives the directory back. */
  release(): Promise<void>;
}

/**
 * Makes this process the only one that trains in `directory`. The lock of a process of this host that no longer runs is taken over at once.
 * That of another host is watched: its owner writes it anew all the time (a heartbeat), and only where that stays away for `watchMs` is it taken over, with
 * a warning, because a job that is started again elsewhere must go on by itself. No clock is compared with another host's.
 *
 * @throws MswitchError where a living process holds it
 */
export async function lockRun(directory: string, log: Log, times: LockTimes = defaultTimes): Promise<RunLock> {
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
      if (owner && (await isAlive(owner, mine, path, times, log))) {
        throw new MswitchError("another process is training in this run directory", {
          code: "run-locked",
          where: directory,
          why: `process ${owner.pid}${owner.host === mine.host ? "" : ` of ${owner.host}`} holds ${lockName}`,
          hint: "Wait for it or end it, or give this run a directory of its own with --run.",
        });
      }
      if (owner && owner.host !== mine.host) log.warn(`${path}: taken over from ${owner.host}, process ${owner.pid}`);
      await rm(path, { force: true });
    }
  } finally {
    await rm(draft, { force: true });
  }
  return holdLock(path, mine, times);
}

/** Keeps a lock that was taken, with its heartbeat. */
function holdLock(path: string, mine: Owner, { heartbeatMs }: LockTimes): RunLock {
  const isMine = (owner: Owner | undefined): boolean =>
    owner?.host === mine.host && owner.pid === mine.pid && owner.began === mine.began;
  const beat = async (): Promise<void> => {
    // Where the lock is gone or another's, nothing is written: `requireHeld` tells.
    const now = new Date();
    if (isMine(await readOwner(path))) await utimes(path, now, now).catch(() => undefined);
  };
  const timer = setInterval(() => void beat(), heartbeatMs).unref();
  // A process that ends without `release`, as at a second Ctrl-C, leaves no lock either.
  const onExit = (): void => {
    try {
      if (isMine(JSON.parse(readFileSync(path, "utf8")) as Owner)) rmSync(path, { force: true });
    } catch {
      // There is none, or it cannot be read: nothing is left to do.
    }
  };
  process.on("exit", onExit);
  return {
    async requireHeld() {
      const owner = await readOwner(path);
      if (isMine(owner)) return;
      throw new MswitchError("the run directory is no longer this process's", {
        code: "run-lock-lost",
        where: path,
        why: owner ? `${owner.host}, process ${owner.pid}, has taken it over` : "the lock is gone",
        hint: "Nothing was written since. Let the other process go on, or start this command again.",
      });
    },
    async release() {
      clearInterval(timer);
      process.off("exit", onExit);
      if (isMine(await readOwner(path))) await rm(path, { force: true });
    },
  };
}

/** Whether the owner of a lock runs; of another host: whether its heartbeat comes. */
async function isAlive(owner: Owner, mine: Owner, path: string, { watchMs }: LockTimes, log: Log): Promise<boolean> {
  if (owner.host === mine.host) return isRunning(owner);
  const seen = await heartbeatOf(path);
  log.info(`${path}: held by ${owner.host}, process ${owner.pid}; watching for ${watchMs / 1000} s whether it lives`);
  const end = performance.now() + watchMs;
  while (performance.now() < end) {
    await sleep(Math.min(1000, watchMs / 20));
    const now = await heartbeatOf(path);
    // Gone: it was given back, and the caller tries again.
    if (now !== undefined && now !== seen) return true;
    if (now === undefined) return false;
  }
  return false;
}

async function heartbeatOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
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
