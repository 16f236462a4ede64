import { createHash, randomBytes } from "node:crypto";
import { closeSync, fsync, openSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { isFileSystemError } from "./files/fileSystemError.js";
import { makeDirectory } from "./files/makeDirectory.js";
import type { FileContent } from "./hash.js";
import { sha256 } from "./hash.js";

/** A leftover of a killed writer carries this infix: it is never taken for a finished file. */
const temporaryInfix = ".tmp-";

/** A temporary file of another machine or container is taken for a dead one's after this long without a write. */
const foreignAgeMs = 24 * 3600 * 1000;

/** Whether a file name is that of an unfinished file left by `writeFileAtomic` or `withAtomicFile`. */
export function isTemporaryName(name: string): boolean {
  return name.includes(temporaryInfix);
}

let knownSpace: string | undefined;

/** Where process numbers mean the same as here: this machine, and on Linux this container. */
function processSpace(): string {
  if (knownSpace !== undefined) return knownSpace;
  let namespace = "";
  try {
    namespace = readlinkSync("/proc/self/ns/pid");
  } catch {
    // Not Linux: the machine's name has to do.
  }
  knownSpace = sha256(`${hostname()} ${namespace}`).slice(0, 12);
  return knownSpace;
}

/**
 * A new name beside `path` for an unfinished file of this process, or for one that is this process's alone. The owner stands in
 * it, so that another process can tell a dead one's leftover from a file in use.
 */
export function temporaryName(path: string): string {
  const owner = `${processSpace()}-${process.pid}-${randomBytes(6).toString("hex")}`;
  return join(dirname(path), `.${basename(path)}${temporaryInfix}${owner}`);
}

/** Makes a rename or a new file in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  await syncPath(directory, "r");
}

/** Waits until the disk has confirmed a file or a folder. Opening it takes less time than a hop to the thread that waits. */
async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  const file = openSync(path, flags);
  try {
    await promisify(fsync)(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Syncs a file that was written whole under a `temporaryName` of `path`, and renames it into place, so that `path` holds either the
 * old bytes or all of the new ones, whatever happens on the way. On any error the temporary file is removed.
 */
export async function putInPlace(temporary: string, path: string): Promise<void> {
  try {
    await syncPath(temporary, "r+");
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw withPath(error, path);
  }
  await syncDirectory(dirname(path));
}

/** The system says of an open file that could not be opened, and not of one that could not be written, which it is. */
function withPath(error: unknown, path: string): unknown {
  if (isFileSystemError(error)) error.path ??= path;
  return error;
}

/** Lets `write` fill a temporary file beside `path` and puts that in its place. On any error the temporary file is removed. */
export async function withAtomicFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  makeDirectory(dirname(path));
  const temporary = temporaryName(path);
  const file = await open(temporary, "wx");
  try {
    await write(file);
    await file.close();
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw withPath(error, path);
  }
  await putInPlace(temporary, path);
}

/** Bytes that are written and hashed at a time: with fewer, the two wait for each other too often. */
const pieceBytes = 2 ** 24;
/** Bytes after which the disk is asked to begin with them: it works while more are made. */
const syncBytes = 2 ** 27;

/**
 * Lets `fill` make a file that takes `path`'s place when it is whole and durable (`withAtomicFile`). A piece is hashed, and the next one put together,
 * while the system takes it, and pieces go to the disk while more come: nothing is read again.
 *
 * @param fill is given a function that adds bytes to the file; they may be changed when its promise is fulfilled
 */
export async function withHashedFile(
  path: string,
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<FileContent> {
  const hash = createHash("sha256");
  let size = 0;
  await withAtomicFile(path, async (file) => {
    let [piece, free] = [new Uint8Array(pieceBytes), new Uint8Array(pieceBytes)];
    let used = 0;
    let syncedAt = 0;
    let writing: Promise<void> | undefined;
    let syncing: Promise<void> | undefined;
    /** Begins with something in the background; its failure is met with where it is waited for. */
    const begin = (work: Promise<void>): Promise<void> => {
      work.catch(() => undefined);
      return work;
    };
    const send = async (): Promise<void> => {
      await writing;
      const bytes = piece.subarray(0, used);
      writing = begin(writeAll(file, bytes));
      hash.update(bytes);
      size += used;
      [piece, free, used] = [free, piece, 0];
      if (size - syncedAt < syncBytes) return;
      await syncing;
      syncedAt = size;
      syncing = begin(writing.then(() => file.datasync()));
    };
    await fill(async (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + pieceBytes - used);
        piece.set(part, used);
        used += part.length;
        at += part.length;
        if (used === pieceBytes) await send();
      }
    });
    await send();
    await writing;
    await syncing;
  });
  return { bytes: size, sha256: hash.digest("hex") };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let begin = 0; begin < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, begin);
    begin += bytesWritten;
  }
}

/** Writes a whole file atomically and durably. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  makeDirectory(dirname(path));
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, data, { flag: "wx" });
  } catch (error) {
    rmSync(temporary, { force: true });
    throw withPath(error, path);
  }
  await putInPlace(temporary, path);
}

/**
 * Removes from `directory` (not from those below it) the temporary files of writers that are gone: of processes of this machine (and
 * container) that no longer run, and of others' after a day without a write. Files of running processes are left alone.
 */
export async function removeStaleTemporaries(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const here = processSpace();
  for (const name of names) {
    if (!isTemporaryName(name)) continue;
    const path = join(directory, name);
    const owner = name.slice(name.lastIndexOf(temporaryInfix) + temporaryInfix.length);
    const [space, pid] = owner.split("-");
    const written = await stat(path).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
    if (written === undefined) continue;
    if (space === here ? isGone(Number(pid), written) : Date.now() - written > foreignAgeMs) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Whether the process that wrote a file at `written` (ms since 1970) no longer runs. */
function isGone(pid: number, written: number): boolean {
  // In a container every run may have the same number: then the file is a former run's if it is older than this one.
  if (pid === process.pid) return written < Date.now() - process.uptime() * 1000;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
