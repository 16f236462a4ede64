import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** A leftover of a killed writer carries this infix: it is never taken for a finished file. */
const temporaryInfix = ".tmp-";

/** Whether a file name is that of an unfinished file left by `writeFileAtomic` or `withAtomicFile`. */
export function isTemporaryName(name: string): boolean {
  return name.includes(temporaryInfix);
}

/** Makes a rename or a new file in `directory` survive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Lets `write` fill a temporary file beside `path`, then syncs it and renames it into place, so that `path` holds either the
 * old bytes or all of the new ones, whatever happens on the way. On any error the temporary file is removed.
 */
export async function withAtomicFile(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `.${basename(path)}${temporaryInfix}${randomBytes(6).toString("hex")}`);
  const file = await open(temporary, "wx");
  try {
    await write(file);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(directory);
}

/** Writes a whole file atomically and durably. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await withAtomicFile(path, async (file) => {
    await file.writeFile(data);
  });
}
