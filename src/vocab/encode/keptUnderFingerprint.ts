import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { withAtomicFile } from "../../base/atomicFile.js";
import { userCache } from "../../base/userCache.js";

/** In shared memory, so that threads need not copy it. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

const digestBytes = 32;

/**
 * What `build` makes of a model, from the user's cache directory (`$XDG_CACHE_HOME/mswitch`) where it was made before; else it is
 * made and kept there, followed by its SHA-256. A directory that cannot be read or written, and a damaged file, cost time only.
 *
 * @param fingerprint of the model file
 * @param format names what is made and its layout: with another name older files are not found
 * @param build may give undefined, of which nothing is kept
 */
export async function keptUnderFingerprint<Built extends SharedBytes | undefined>(
  fingerprint: string,
  format: string,
  build: () => Built,
): Promise<SharedBytes | Built> {
  const path = userCache(`${fingerprint}.${format}`);
  const kept = readKept(path);
  if (kept) return kept;
  const built = build();
  if (built) await keep(path, built).catch(() => undefined);
  return built;
}

async function keep(path: string, bytes: SharedBytes): Promise<void> {
  await withAtomicFile(path, async (file) => {
    await file.writeFile(bytes);
    await file.writeFile(digestOf(bytes));
  });
}

/** The file's bytes, or undefined where it is absent or not as it was written. */
function readKept(path: string): SharedBytes | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    const { size } = fstatSync(file);
    if (size < digestBytes) return undefined;
    const bytes = new Uint8Array(new SharedArrayBuffer(size));
    if (readSync(file, bytes) !== size) return undefined;
    const kept = bytes.subarray(0, size - digestBytes);
    return digestOf(kept).equals(bytes.subarray(size - digestBytes)) ? kept : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
