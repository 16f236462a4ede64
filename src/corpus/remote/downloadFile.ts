import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { cacheWriteError } from "../../base/files/fileSystemError.js";
import type { HttpClient } from "./httpClient.js";
import { TransientFault } from "./httpRequest.js";
import { type RemoteFile, remoteFile } from "./remoteFile.js";

/** A file that was had whole. */
export interface Downloaded {
  bytes: number;
  sha256: string;
  version?: string;
}

/**
 * Downloads a file. After a broken connection it goes on where it stopped, if the server can say that the file is still the same
 * one (If-Range with a strong validator), and from the start otherwise: parts of two versions are never joined. Length and, where
 * the server gives one, checksum are compared; where they differ it is downloaded again.
 *
 * @param file empty and open for writing
 * @param path the file's, for reading it again
 * @throws DownloadFault where it cannot be had; MswitchError where it cannot be written
 */
export async function downloadFile(
  client: HttpClient,
  url: string,
  file: FileHandle,
  path: string,
): Promise<Downloaded> {
  let hash = createHash("sha256");
  let offset = 0;
  let furthest = 0;
  let remote: RemoteFile | undefined;

  const restart = async (): Promise<void> => {
    hash = createHash("sha256");
    offset = 0;
    remote = undefined;
    await local(path, () => file.truncate(0));
  };

  const attempt = async (signal: AbortSignal): Promise<Downloaded> => {
    if (remote?.strong === undefined && offset > 0) await restart();
    const headers = offset > 0 ? { range: `bytes=${offset}-`, "if-range": remote?.strong ?? "" } : undefined;
    const response = await client.get(url, signal, headers).catch(async (error: unknown) => {
      // 416: the file has become shorter than what is here already.
      if ((error as { status?: number }).status === 416) await restart();
      throw error;
    });
    const now = remoteFile(response.status, response.headers);
    try {
      if (response.status === 200) {
        await restart();
        remote = now;
      } else if (!continues(remote, now, response.headers["content-range"], offset)) {
        await restart();
        throw new TransientFault("the file was changed on the server while it was being read");
      }
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        await local(path, () => file.write(chunk, 0, chunk.length, offset));
        hash.update(chunk);
        offset += chunk.length;
        furthest = Math.max(furthest, offset);
      }
    } finally {
      response.body.destroy();
    }
    const size = remote?.bytes;
    if (size !== undefined && offset !== size) {
      const had = offset;
      if (had > size) await restart();
      throw new TransientFault(`${had} of ${size} bytes came`);
    }
    const sha256 = hash.digest("hex");
    const wrong = await wrongChecksum(remote, sha256, path);
    if (wrong === undefined) return { bytes: offset, sha256, version: remote?.version };
    await restart();
    throw new TransientFault(`what came does not have the ${wrong} that the server gives`);
  };
  return client.retry(url, attempt, () => furthest);
}

/** Whether an answer of a part (206) is the rest of the very file of which `offset` bytes are here. */
function continues(had: RemoteFile | undefined, now: RemoteFile, range: string | undefined, offset: number): boolean {
  const start = /^bytes (\d+)-/.exec(range ?? "")?.[1];
  if (had === undefined || offset === 0 || Number(start) !== offset) return false;
  return had.strong === now.strong && (now.bytes === undefined || had.bytes === undefined || now.bytes === had.bytes);
}

async function wrongChecksum(
  remote: RemoteFile | undefined,
  sha256: string,
  path: string,
): Promise<string | undefined> {
  if (remote?.sha256 !== undefined) return remote.sha256 === sha256 ? undefined : "SHA-256";
  if (remote?.md5 === undefined) return undefined;
  const md5 = createHash("md5");
  for await (const chunk of createReadStream(path)) md5.update(chunk as Uint8Array);
  return md5.digest("hex") === remote.md5 ? undefined : "MD5";
}

/** What the file system refuses is no fault of the server, and trying again would not help. */
async function local<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw cacheWriteError(error, path);
  }
}
