import { readFileSync, statSync } from "node:fs";
import { MswitchError, messageOf } from "../../base/errors.js";
import { sha256 } from "../../base/hash.js";

/** The bytes of a `.model` file. What was made of them before is kept under their fingerprint. */
export interface ModelFile {
  path: string;
  /** The whole file. */
  bytes: Uint8Array;
  /** SHA-256 of `bytes`, in hex. */
  fingerprint: string;
}

/** Larger files than this are no vocabulary: mT5's, with 250,100 pieces, is 4.3 MB. */
const maxFileBytes = 512 * 2 ** 20;

/**
 * Reads a `.model` file without a look at what it holds.
 *
 * @throws MswitchError where it cannot be read or is too large
 */
export function openModelFile(path: string): ModelFile {
  try {
    const { size } = statSync(path);
    if (size > maxFileBytes) throw new Error(`it has ${size} bytes, and no vocabulary is that large`);
    const file = readFileSync(path);
    // A plain array: Buffer's `slice` is none.
    return modelFileOf(path, new Uint8Array(file.buffer, file.byteOffset, file.length));
  } catch (error) {
    throw new MswitchError("cannot read the vocabulary", {
      code: "vocabulary-unreadable",
      where: path,
      why: messageOf(error),
      hint: "give the path of a SentencePiece .model file; `mswitch vocab train` makes one",
      cause: error,
    });
  }
}

/** Bytes at hand as a model file; `path` is what errors call them. */
export function modelFileOf(path: string, bytes: Uint8Array): ModelFile {
  return { path, bytes, fingerprint: sha256(bytes) };
}
