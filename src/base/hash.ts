import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/** What a file holds, as markers name it. */
export interface FileContent {
  bytes: number;
  /** In hex. */
  sha256: string;
}

/** SHA-256 of bytes or text, in hex. */
export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** SHA-256 of a file's bytes, in hex, read as a stream. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
