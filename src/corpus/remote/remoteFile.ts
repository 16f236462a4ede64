import type { IncomingHttpHeaders } from "node:http";

/** What a server says of a file before it is read. */
export interface RemoteFile {
  /** Size in bytes. */
  bytes?: number;
  /** Changes when the file does; ETag or date, as the server gives it. */
  version?: string;
  /** Validator under which parts of two answers may be joined (RFC 9110, 13.1.5: strong ones only). */
  strong?: string;
  /** Hashes of the whole file, in hex. */
  sha256?: string;
  md5?: string;
}

/** Reads the headers of an answer that gives the whole file (200) or a part of it (206). */
export function remoteFile(status: number, headers: IncomingHttpHeaders): RemoteFile {
  const one = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
  const etag = one("etag");
  const modified = one("last-modified");
  const linked = one("x-linked-etag");
  const total = status === 206 ? /\/(\d+)$/.exec(one("content-range") ?? "")?.[1] : one("content-length");
  const size = one("x-linked-size") ?? total;
  const file: RemoteFile = {};
  if (size !== undefined && /^\d+$/.test(size)) file.bytes = Number(size);
  file.version = linked ?? etag ?? modified;
  if (etag !== undefined) {
    if (!etag.startsWith("W/")) file.strong = etag;
  } else if (modified !== undefined && Date.parse(one("date") ?? "") - Date.parse(modified) >= 1000) {
    file.strong = modified;
  }
  // Hugging Face: the ETag of a file in its large-file store is the file's SHA-256.
  file.sha256 = /^"?([0-9a-f]{64})"?$/.exec(linked ?? "")?.[1];
  for (const name of ["repr-digest", "digest"]) file.sha256 ??= digest(one(name), "sha-256", 32);
  file.md5 = digest(one("x-goog-hash"), "md5", 16);
  // That of a part would be the part's.
  if (status === 200) file.md5 ??= digest(`md5=${one("content-md5") ?? ""}`, "md5", 16);
  return file;
}

/** Finds `name=base64` (Digest, x-goog-hash) or `name=:base64:` (Repr-Digest) in a list. */
function digest(list: string | undefined, name: string, length: number): string | undefined {
  const base64 = new RegExp(`(?:^|[,\\s])${name}=:?([A-Za-z0-9+/]+={0,2}):?(?:$|[,\\s;])`, "i").exec(list ?? "")?.[1];
  const bytes = Buffer.from(base64 ?? "", "base64");
  return bytes.length === length ? bytes.toString("hex") : undefined;
}

/** Whether an address names one version of a file for good: Hugging Face's with a commit in them. */
export function isImmutable(url: string): boolean {
  return /^https:\/\/huggingface\.co\/.*\/resolve\/[0-9a-f]{40}\//.test(url);
}

/** Whether a source is an address and no path. */
export function isRemote(path: string): boolean {
  return /^https?:\/\//i.test(path);
}
