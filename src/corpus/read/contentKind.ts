import type { RejectionCause } from "./document.js";

/** What a file or a decompressed stream turns out to be, as the end of a sentence that begins with `the file is`. */
interface Kind {
  cause: RejectionCause;
  is: string;
}

/** Beginnings of files by which their formats are known. */
const magics: [name: string, bytes: number[]][] = [
  ["gzip", [0x1f, 0x8b]],
  ["Zstandard", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["a ZIP archive", [0x50, 0x4b, 0x03, 0x04]],
  ["Parquet", [0x50, 0x41, 0x52, 0x31]],
];

/** Bytes that are enough to tell. */
export const headBytes = 512;

/** A kind of file that is never a shard, whatever its name: told by the first bytes of the file or of what was decompressed. */
export function strangeKind(head: Uint8Array): Kind | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, headBytes)).toString("latin1");
  if (text.startsWith("version https://git-lfs.github.com/spec/")) {
    return { cause: "git-lfs-pointer", is: "a Git LFS pointer and not the file itself: run git lfs pull" };
  }
  if (/^(?:\u00ef\u00bb\u00bf)?\s*<(?:!doctype html|html|head|body)\b/i.test(text)) {
    return { cause: "html", is: "an HTML page, such as a server sends in place of a file: download it again" };
  }
  return undefined;
}

/** The format of bytes that should be text, where they are another: as `gzip`. */
export function binaryFormat(head: Uint8Array): string | undefined {
  const found = magics.find(([, bytes]) => bytes.every((byte, i) => head[i] === byte))?.[0];
  if (found) return found;
  // The first character of nearly any text is below U+0100: half of it is a NUL.
  const hasMark = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  return hasMark && head.subarray(2, 4).includes(0) ? "UTF-16 text, not UTF-8" : undefined;
}

/** What the bytes of a file look like that was to be decompressed, for a message; undefined where nothing is known. */
export function guessFormat(head: Uint8Array): string | undefined {
  const format = binaryFormat(head);
  if (format) return format;
  const first = Buffer.from(head).toString("latin1").trimStart()[0];
  return first === "{" ? "JSON that is not compressed" : undefined;
}
