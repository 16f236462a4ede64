import { MswitchError, messageOf } from "../../base/errors.js";

/** Whether the file system refused for want of room. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** The error for the user where the file system refused the cache: no other download would fare better. */
export function cacheError(where: string, error: unknown): MswitchError {
  if (error instanceof MswitchError) return error;
  return new MswitchError(isDiskFull(error) ? "the disk of the cache is full" : "the cache cannot be written", {
    where,
    why: messageOf(error),
    hint: "make room, or name another --cache-dir or a smaller --cache-size, and run the same command again",
    cause: error,
  });
}
