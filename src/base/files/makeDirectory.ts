import { existsSync, mkdirSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { messageOf, usageError } from "../errors.js";

/**
 * Makes a folder and those above it; one that is there already is no error. Node's own recursive `mkdir` never returns where the system
 * answers ENOENT below a folder that exists, as in /proc (seen in Node.js 20 and 24).
 *
 * @throws the system's error where a folder cannot be made, or something else has its name
 */
export function makeDirectory(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const parent = dirname(path);
    if (!existsSync(parent)) makeDirectory(parent);
    // Tried again also where the folder above is there: another process may just have made it.
    makeOne(path);
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path) || !statSync(path).isDirectory()) throw error;
  }
}

/**
 * Makes sure, before any work, that files can be written into a folder, or into the nearest one above it that is there; what the test makes it removes.
 *
 * @param what is to be written, with its article: `the report`
 * @throws usageError `output-unusable`
 */
export function requireWritableFolder(folder: string, what: string): void {
  try {
    if (folder === "") throw new Error("it has no name");
    // Of the folders that are not there yet none is made: another process may be making them, or asking too.
    let there = resolve(folder);
    while (!existsSync(there)) there = dirname(there);
    // Asking for permissions is not enough: root has all of them, also in /proc.
    rmdirSync(mkdtempSync(join(there, ".probe-")));
  } catch (error) {
    throw usageError(`${what} cannot be written`, {
      code: "output-unusable",
      where: folder,
      why: messageOf(error),
      hint: "name another place with --out",
    });
  }
}

/** The same of a file; `name` is what the file could be called where `path` is a folder. */
export function requireWritableFile(path: string, what: string, name: string): void {
  const place = resolve(path);
  if (existsSync(place) && statSync(place).isDirectory()) {
    throw usageError(`${what} cannot be written`, {
      code: "output-unusable",
      where: path,
      why: "it is a folder",
      hint: `--out ${join(path, name)}`,
    });
  }
  requireWritableFolder(dirname(place), what);
}
