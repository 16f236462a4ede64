import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomicFile.js";
import { sha256 } from "../base/hash.js";
import type { SentencePieceModel } from "./modelFile.js";
import { buildPieceTrie, type PieceTrie } from "./pieceTrie.js";

/** Changes with the layout of the trie or of the file: older files are then not found. */
const format = "trie-3";
/** SHA-256 of the rest; number of code points, longest piece, words of the units. */
const headBytes = 32 + 12;

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
  const [codes, longestPiece, unitWords] = words;
  const codesEnd = 3 + codes;
  return {
    codePoints: words.subarray(3, codesEnd),
    longestPiece,
    units: words.subarray(codesEnd, codesEnd + unitWords),
    fails: words.subarray(codesEnd + unitWords, codesEnd + 1.25 * unitWords),
    blocks: words.subarray(codesEnd + 1.25 * unitWords),
  };
}

function trieFile({ units, fails, blocks, codePoints, longestPiece }: PieceTrie): Uint8Array {
  const head = Int32Array.of(codePoints.length, longestPiece, units.length);
  const body = Buffer.concat(
    [head, codePoints, units, fails, blocks].map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)),
  );
  return Buffer.concat([createHash("sha256").update(body).digest(), body]);
}
