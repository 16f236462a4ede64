import { homedir } from "node:os";
import { join } from "node:path";

/** A folder below `$XDG_CACHE_HOME/mswitch`, or below `~/.cache/mswitch` where that is not set. */
export function userCache(...path: string[]): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "mswitch", ...path);
}
