import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it; one that is there already is no error. Node's own recursive `mkdir` never returns where the system
 * answers ENOENT below a folder that exists, as in /proc (seen in Node.js 20 and 24).
 *
 * @throws the system's error where a folder cannot be made, or something else has its name
 */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (existsSync(path) && statSync(path).isDirectory()) return;
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || existsSync(parent)) throw error;
    makeDirectory(parent);
    makeDirectory(path);
  }
}
