import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { filesBelow } from "./preprocessRuns.js";

/** Inode and times of the records and of the token files that have one, by path: what a later run must leave alone. */
export function finishedFiles(out: string): Record<string, { inode: number; modified: number; changed: number }> {
  const records = filesBelow(out).filter((name) => name.startsWith(".records/") && name.endsWith(".json"));
  const files = records.flatMap((name) => [name, name.replace(".records/", "").replace(/json$/, "arrow")]);
  return Object.fromEntries(
    files
      .filter((name) => existsSync(join(out, name)))
      .map((name) => {
        const { ino, mtimeMs, ctimeMs } = statSync(join(out, name));
        return [name, { inode: ino, modified: mtimeMs, changed: ctimeMs }];
      }),
  );
}
