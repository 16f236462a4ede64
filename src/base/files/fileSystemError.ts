import { MswitchError, messageOf } from "../errors.js";

/** Whether the file system refused for want of room. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Whether `error` is the operating system's: `EACCES`, `ENOSPC`, and so on; not one of Node's own (`ERR_…`). */
export function isFileSystemError(error: unknown): error is NodeJS.ErrnoException {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
}

/** What to tell the user where writing failed. */
export interface FailedWrite {
  /** What could not be written, and what is said instead where the disk is full. */
  what: string;
  full?: string;
  where: string;
  /** What to do; given whether the disk is full. */
  hint: (full: boolean) => string;
}

/** The error for the user where the operating system refused to write; any other error, ours among them, as it is. */
export function writeError(error: unknown, { what, full, where, hint }: FailedWrite): unknown {
  if (error instanceof MswitchError || !isFileSystemError(error)) return error;
  const noRoom = isDiskFull(error);
  return new MswitchError(noRoom ? (full ?? what) : what, {
    code: noRoom ? "disk-full" : "write-failed",
    where,
    why: noRoom && full === undefined ? "the disk is full" : messageOf(error),
    hint: hint(noRoom),
    cause: error,
  });
}

/** Of a run directory or a checkpoint. */
export function runWriteError(error: unknown, what: string, where: string): unknown {
  const hint = (full: boolean): string =>
    `${full ? "Free some space" : "Mend the cause"} and start again: the run goes on from its last complete checkpoint.`;
  return writeError(error, { what, where, hint });
}

/** Of a dataset's folder. */
export function datasetWriteError(error: unknown, where: string): unknown {
  const hint = (full: boolean): string =>
    `${full ? "make room" : "mend that"} and run the same command again: what was finished is kept`;
  return writeError(error, { what: "the output cannot be written", full: "the disk is full", where, hint });
}

/** Of the cache of downloads: no other download would fare better. */
export function cacheWriteError(error: unknown, where: string): unknown {
  const hint = (): string =>
    "make room, or name another --cache-dir or a smaller --cache-size, and run the same command again";
  return writeError(error, { what: "the cache cannot be written", full: "the disk of the cache is full", where, hint });
}
