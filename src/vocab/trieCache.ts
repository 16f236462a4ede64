import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomicFile.js";
import { sha256 } from "../base/hash.js";
import type { SentencePieceModel } from "./modelFile.js";
import { buildPieceTrie, type PieceTrie } from "./pieceTrie.js";

/** Changes with the layout of the trie or of the file: older files are then not found. */
const format = "trie-1";
/** SHA-256 of the rest; number of code points, longest piece. */
const headBytes = 32 + 8;

/**
 * The trie of a model, from the user's cache directory (`$XDG_CACHE_HOME/mswitch`) where it was built before; else it is built and
 * kept there under the model's fingerprint. A directory that cannot be read or written, and a damaged file, cost time only.
 */
export async function cachedPieceTrie(model: SentencePieceModel): Promise<PieceTrie> {
  const cacheHome = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const path = join(cacheHome, "mswitch", `${sha256(model.bytes)}.${format}`);
  const kept = readTrie(path);
  if (kept) return kept;
  const trie = buildPieceTrie(model);
  await writeFileAtomic(path, trieFile(trie)).catch(() => undefined);
  return trie;
}

function readTrie(path: string): PieceTrie | undefined {
  let file: Uint8Array;
  try {
    file = readFileSync(path);
  } catch {
    return undefined;
  }
  if (file.length < headBytes) return undefined;
  const digest = createHash("sha256").update(file.subarray(32)).digest();
  if (!digest.equals(file.subarray(0, 32))) return undefined;
  const words = new Int32Array(file.buffer.slice(file.byteOffset + 32, file.byteOffset + file.length));
  const [codes, longestPiece] = words;
  return { codePoints: words.subarray(2, 2 + codes), units: words.subarray(2 + codes), longestPiece };
}

function trieFile({ units, codePoints, longestPiece }: PieceTrie): Uint8Array {
  const words = new Int32Array(2 + codePoints.length + units.length);
  words.set([codePoints.length, longestPiece]);
  words.set(codePoints, 2);
  words.set(units, 2 + codePoints.length);
  const body = new Uint8Array(words.buffer);
  return Buffer.concat([createHash("sha256").update(body).digest(), body]);
}
