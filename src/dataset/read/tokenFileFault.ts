import { stat } from "node:fs/promises";
import { MswitchError } from "../../base/errors.js";
import { sha256File } from "../../base/hash.js";
import type { DatasetManifest } from "../format/manifest.js";

/** A token file as `dataset.json` lists it. */
export type ShardEntry = DatasetManifest["shards"][number];

/** One thing that is wrong with a dataset. */
export interface DatasetFault {
  /** Relative to the dataset's folder. */
  file: string;
  /** What is wrong with it, as the end of a sentence that begins with its name: `is absent`. */
  fault: string;
  /** What to do. */
  hint: string;
}

/** What to do about a damaged file of a dataset. */
export const mendHint =
  "run the same `mswitch preprocess` again with --verify: it finds what is missing or damaged and redoes only that";

/** What to do about a file that is made of the records. */
export const rewriteHint = "run the same `mswitch preprocess` again: it writes this file anew from the records";

/** What to do where a record and what it describes disagree: which of them is wrong cannot be told. */
export const redoHint = (record: string): string =>
  `delete ${record} and run the same \`mswitch preprocess\` again: it redoes that shard`;

/** The error for a token file that does not hold what it should. */
export function damagedTokenFile(path: string, why: string): MswitchError {
  return new MswitchError("the token file is damaged", { code: "dataset-damaged", where: path, why, hint: mendHint });
}

/**
 * What is wrong with a file that should have this size and hash, or undefined where nothing is: `is absent`, `has 3 bytes, not 4`.
 *
 * @param rehash whether its bytes are read and compared too, or its presence and size are enough
 */
export async function tokenFileFault(
  path: string,
  { bytes, sha256 }: Pick<ShardEntry, "bytes" | "sha256">,
  rehash: boolean,
): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return "is absent";
  if (found.size !== bytes) return `has ${found.size} bytes, ${bytes} were written`;
  if (rehash && (await sha256File(path)) !== sha256) return "has other bytes than were written";
  return undefined;
}
