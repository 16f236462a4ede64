import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/**
 * This program's cache directory: `$XDG_CACHE_HOME/mswitch`, or below `~/.cache`; where the user has no home, as in a container with a bare user
 * id, below the directory for temporary files.
 */
export function cacheHome(): string {
  if (process.env.XDG_CACHE_HOME) return join(process.env.XDG_CACHE_HOME, "mswitch");
  try {
    return join(homedir(), ".cache", "mswitch");
  } catch {
    return join(tmpdir(), `mswitch-cache-${process.getuid?.() ?? "user"}`);
  }
}
