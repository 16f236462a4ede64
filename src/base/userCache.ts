import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A folder below `$XDG_CACHE_HOME/mswitch`, or below `~/.cache/mswitch` where that is not set; where the user has no home either, as in a
 * container with a bare user id, below the folder for temporary files.
 */
export function userCache(...path: string[]): string {
  if (process.env.XDG_CACHE_HOME) return join(process.env.XDG_CACHE_HOME, "mswitch", ...path);
  try {
    return join(homedir(), ".cache", "mswitch", ...path);
  } catch {
    return join(tmpdir(), `mswitch-cache-${process.getuid?.() ?? "user"}`, ...path);
  }
}
